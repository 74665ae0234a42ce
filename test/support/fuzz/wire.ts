import fc from 'fast-check'
import type { Leave, Piece } from './http.ts'
import { type Changed, changes } from './mutations.ts'
import { drafts, right } from './requests.ts'

/** The request that follows a broken one. If the server answers it, the answer contains its id. */
export const SMUGGLED = 'smuggled-1'

const smuggled = `GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${SMUGGLED}\r\n\r\n`

/** A form that two servers may end at different places. */
const form = right.issueIdscan('scanning').body ?? ''
const post = (headers: string, body: string, version = '1.1'): string =>
  `POST /idscanenterprisesvc/token HTTP/${version}\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n${headers}\r\n\r\n${body}`
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
const length = Buffer.byteLength(form)

const inner = smuggled.replace(SMUGGLED, 'inner')

export interface Shape {
  readonly what: string
  readonly bytes: string
}

/** Messages that two servers may end at different places. The second request must get no answer. */
export const REFUSED: readonly Shape[] = [
  {
    what: 'a length and chunks',
    bytes: post(`Content-Length: 6\r\nTransfer-Encoding: chunked`, `0\r\n\r\n${smuggled}`),
  },
  {
    what: 'chunks and a length',
    bytes: post(`Transfer-Encoding: chunked\r\nContent-Length: ${length}`, `0\r\n\r\n${smuggled}`),
  },
  { what: 'two lengths that differ', bytes: post(`Content-Length: 0\r\nContent-Length: ${length}`, smuggled) },
  { what: 'two lengths in one header', bytes: post(`Content-Length: 0, ${length}`, smuggled) },
  {
    what: 'the same length twice',
    bytes: post(`Content-Length: ${length}\r\nContent-Length: ${length}`, `${form}${smuggled}`),
  },
  { what: 'a length with a sign', bytes: post(`Content-Length: +${length}`, `${form}${smuggled}`) },
  { what: 'a negative length', bytes: post('Content-Length: -1', smuggled) },
  { what: 'a length in hexadecimal', bytes: post('Content-Length: 0x0', smuggled) },
  { what: 'a length with a fraction', bytes: post('Content-Length: 0.0', smuggled) },
  { what: 'a length with a blank inside', bytes: post('Content-Length: 1 0', smuggled) },
  { what: 'a length beyond 64 bits', bytes: post('Content-Length: 18446744073709551616', smuggled) },
  { what: 'an empty length', bytes: post('Content-Length:', smuggled) },
  { what: 'a blank before the colon', bytes: post('Content-Length : 0', smuggled) },
  { what: 'a blank before the colon of chunks', bytes: post('Transfer-Encoding : chunked', `0\r\n\r\n${smuggled}`) },
  {
    what: 'a header that begins with a blank',
    bytes: post(`X: y\r\n Transfer-Encoding: chunked`, `0\r\n\r\n${smuggled}`),
  },
  { what: 'obs-fold within the encoding', bytes: post('Transfer-Encoding:\r\n chunked', `0\r\n\r\n${smuggled}`) },
  { what: 'xchunked', bytes: post('Transfer-Encoding: xchunked', `0\r\n\r\n${smuggled}`) },
  { what: 'chunked that is not last', bytes: post('Transfer-Encoding: chunked, gzip', `0\r\n\r\n${smuggled}`) },
  { what: 'identity', bytes: post('Transfer-Encoding: identity', smuggled) },
  { what: 'chunked in quotes', bytes: post('Transfer-Encoding: "chunked"', `0\r\n\r\n${smuggled}`) },
  { what: 'a vertical tab before chunked', bytes: post('Transfer-Encoding: \u000bchunked', `0\r\n\r\n${smuggled}`) },
  {
    what: 'chunks in HTTP/1.0',
    bytes: post('Transfer-Encoding: chunked\r\nConnection: keep-alive', `0\r\n\r\n${smuggled}`, '1.0'),
  },
  { what: 'a bare LF behind a header', bytes: post('X: y\nTransfer-Encoding: chunked', `0\r\n\r\n${smuggled}`) },
  { what: 'a bare CR behind a header', bytes: post('X: y\rTransfer-Encoding: chunked', `0\r\n\r\n${smuggled}`) },
  { what: 'bare LFs everywhere', bytes: post('Content-Length: 0', smuggled).replaceAll('\r\n', '\n') },
  { what: 'a NUL in a header', bytes: post('X: a\u0000b\r\nContent-Length: 0', smuggled) },
  { what: 'a NUL in a name', bytes: post('X\u0000: a\r\nContent-Length: 0', smuggled) },
  { what: 'an invalid chunk size', bytes: post('Transfer-Encoding: chunked', `g\r\nx\r\n0\r\n\r\n${smuggled}`) },
  { what: 'a chunk size with 0x', bytes: post('Transfer-Encoding: chunked', `0x1\r\nx\r\n0\r\n\r\n${smuggled}`) },
  { what: 'a negative chunk size', bytes: post('Transfer-Encoding: chunked', `-1\r\nx\r\n0\r\n\r\n${smuggled}`) },
  {
    what: 'a chunk size beyond 64 bits',
    bytes: post('Transfer-Encoding: chunked', `1${'0'.repeat(16)}\r\nx\r\n0\r\n\r\n${smuggled}`),
  },
  { what: 'an empty chunk size', bytes: post('Transfer-Encoding: chunked', `\r\n0\r\n\r\n${smuggled}`) },
  {
    what: 'a chunk that is longer than its size',
    bytes: post('Transfer-Encoding: chunked', `1\r\nxx\r\n0\r\n\r\n${smuggled}`),
  },
  { what: 'a chunk that ends in LF', bytes: post('Transfer-Encoding: chunked', `1\r\nx\n0\r\n\r\n${smuggled}`) },
  { what: 'a chunk size that ends in LF', bytes: post('Transfer-Encoding: chunked', `1\nx\r\n0\r\n\r\n${smuggled}`) },
  {
    what: 'a chunk extension with a LF',
    bytes: post('Transfer-Encoding: chunked', `1;a\nb\r\nx\r\n0\r\n\r\n${smuggled}`),
  },
  {
    what: 'a chunk extension of 20 KiB',
    bytes: post('Transfer-Encoding: chunked', `1;${'a'.repeat(20_480)}\r\nx\r\n0\r\n\r\n${smuggled}`),
  },
  { what: 'an invalid trailer', bytes: post('Transfer-Encoding: chunked', `0\r\nnonsense\r\n\r\n${smuggled}`) },
  {
    what: 'a length in a trailer',
    bytes: post('Transfer-Encoding: chunked', `0\r\nContent-Length: 5\r\n\r\n${smuggled}`),
  },
  { what: 'no HTTP at all', bytes: `\u0016\u0003\u0001\u0002\u0000\u0001\u0000\r\n\r\n${smuggled}` },
  { what: 'HTTP/2', bytes: `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${smuggled}` },
  { what: 'HTTP/0.9', bytes: `GET /healthz\r\n\r\n${smuggled}` },
  { what: 'an unknown version', bytes: `GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n${smuggled}` },
  { what: 'an unknown method', bytes: `FETCH /healthz HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}` },
  { what: 'a method in lower case', bytes: `get /healthz HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}` },
  { what: 'a blank in the target', bytes: `GET /healthz x HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}` },
  { what: 'a tab in the request line', bytes: `GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}` },
  { what: 'a target without a slash', bytes: `GET healthz HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}` },
  { what: 'a header without a name', bytes: `GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n${smuggled}` },
  { what: 'a header without a colon', bytes: `GET /healthz HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n${smuggled}` },
  { what: 'a tunnel', bytes: `CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}` },
  {
    what: '49 KiB of headers',
    bytes: `GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(49 * 1024)}\r\n\r\n${smuggled}`,
  },
]

/** Unusual but unambiguous: two requests, two answers. */
export const UNDERSTOOD: readonly Shape[] = [
  { what: 'chunks', bytes: post('Transfer-Encoding: chunked', `${chunk(form)}0\r\n\r\n${smuggled}`) },
  { what: 'chunks in capitals', bytes: post('TRANSFER-ENCODING: CHUNKED', `${chunk(form)}0\r\n\r\n${smuggled}`) },
  { what: 'a tab before chunked', bytes: post('Transfer-Encoding:\tchunked', `${chunk(form)}0\r\n\r\n${smuggled}`) },
  {
    what: 'a chunk extension',
    bytes: post('Transfer-Encoding: chunked', `${length.toString(16)};a="b";c\r\n${form}\r\n0\r\n\r\n${smuggled}`),
  },
  {
    what: 'a chunk size in capitals, with zeros before it',
    bytes: post(
      'Transfer-Encoding: chunked',
      `000${length.toString(16).toUpperCase()}\r\n${form}\r\n0\r\n\r\n${smuggled}`,
    ),
  },
  { what: 'a trailer', bytes: post('Transfer-Encoding: chunked', `${chunk(form)}0\r\nX-Y: z\r\n\r\n${smuggled}`) },
  { what: 'a length with zeros before it', bytes: post(`Content-Length: 000${length}`, `${form}${smuggled}`) },
  { what: 'blanks around a length', bytes: post(`Content-Length:  \t${length} \t`, `${form}${smuggled}`) },
  { what: 'empty lines before a request', bytes: `\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}` },
  { what: 'a length with a GET', bytes: `GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc${smuggled}` },
  {
    what: 'a request as the body of one',
    bytes: `GET /token HTTP/1.1\r\nHost: x\r\nContent-Length: ${inner.length}\r\n\r\n${inner}${smuggled}`,
  },
]

/** Bytes that a parser looks for, and bytes that it does not expect. */
const ODD_BYTES = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '\u0080',
  '\u00ff',
  '0',
  '-',
  'HTTP/1.1',
]

const byteEdit = fc.record({
  /** 0 is the beginning. Mostly within the headers, because a parser reads little else. */
  where: fc.nat(9_999),
  head: fc.constantFrom(true, true, true, false),
  gone: fc.constantFrom(0, 0, 1, 2, 40),
  put: fc.oneof(fc.constantFrom('', ...ODD_BYTES), fc.string({ unit: 'binary-ascii', maxLength: 4 })),
})

type ByteEdit = typeof byteEdit extends fc.Arbitrary<infer Edit> ? Edit : never

function editBytes(bytes: Buffer, { where, head, gone, put }: ByteEdit): Buffer {
  const end = bytes.indexOf('\r\n\r\n')
  const length = head && end !== -1 ? end + 4 : bytes.length
  const index = Math.floor((where / 10_000) * length)
  return Buffer.concat([bytes.subarray(0, index), Buffer.from(put, 'latin1'), bytes.subarray(index + gone)])
}

/** A request with changed bytes, and how it is sent. */
export interface BrokenRequest {
  readonly changed: Changed
  readonly edits: readonly ByteEdit[]
  /** The positions where it is cut into pieces, and the milliseconds between them. */
  readonly cuts: readonly number[]
  readonly pauseMs: number
  /** The share of it that is sent; 9,999 is everything. */
  readonly sent: number
  readonly leave: Leave
}

export const brokenRequests: fc.Arbitrary<BrokenRequest> = fc.record({
  changed: fc.record({ draft: drafts, mutations: changes }),
  edits: fc.array(byteEdit, { maxLength: 3 }),
  cuts: fc.array(fc.nat(9_999), { maxLength: 3 }),
  pauseMs: fc.constantFrom(0, 0, 0, 1, 5),
  sent: fc.oneof({ weight: 3, arbitrary: fc.constant(9_999) }, { weight: 1, arbitrary: fc.nat(9_998) }),
  // Do not wait here: an incomplete request would take its whole time limit.
  leave: fc.constantFrom('half-close', 'half-close', 'half-close', 'reset'),
})

/** @param whole the request before its bytes are changed. */
export function toPieces({ edits, cuts, pauseMs, sent }: BrokenRequest, whole: Buffer): Piece[] {
  const edited = edits.reduce(editBytes, whole)
  const bytes = edited.subarray(0, Math.ceil((edited.length * (sent + 1)) / 10_000))
  const places = cuts.map((cut) => Math.floor((bytes.length * cut) / 10_000)).toSorted((a, b) => a - b)
  const from = [0, ...places]
  return from.map((start, index) => ({
    bytes: bytes.subarray(start, from[index + 1]),
    pauseMs: index === 0 ? 0 : pauseMs,
  }))
}
