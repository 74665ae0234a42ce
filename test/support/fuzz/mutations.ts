import fc from 'fast-check'
import { FUZZ_METHODS } from './conformance.ts'
import type { FuzzRequest } from './http.ts'
import type { Draft } from './requests.ts'
import { oddBytes, oddJson, oddText } from './values.ts'

/** One change, with a description for counterexamples. */
export interface Mutation {
  readonly what: string
  apply(request: Changing): void
}

/** A request that is being changed. */
interface Changing {
  method: string
  target: string
  headers: [name: string, value: string][]
  body: Buffer | undefined
  chunked: boolean
}

/** A position in text of unknown length, as a fraction: 0 is its beginning. */
const place = fc.nat(9_999)
const at = (where: number, length: number): number => Math.floor((where / 10_000) * (length + 1))
const pick = <T>(list: readonly T[], where: number): T | undefined => list[at(where, list.length - 1)]

const mutation = (what: string, apply: (request: Changing) => void): Mutation => ({ what, apply })
const quote = (value: string | Buffer): string => {
  const text = JSON.stringify(value.toString('latin1'))
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** Edits text: keeps, cuts or doubles it, or inserts something odd or replaces it. */
interface Edit {
  readonly what: string
  edit(text: string): string
}

const edits = fc.oneof(
  oddText.map((odd): Edit => ({ what: `all ${quote(odd)}`, edit: () => odd })),
  fc.tuple(place, oddText).map(
    ([where, odd]): Edit => ({
      what: `${quote(odd)} put in at ${where}`,
      edit: (text) => text.slice(0, at(where, text.length)) + odd + text.slice(at(where, text.length)),
    }),
  ),
  place.map((where): Edit => ({ what: `cut off at ${where}`, edit: (text) => text.slice(0, at(where, text.length)) })),
  place.map(
    (where): Edit => ({
      what: `one character gone at ${where}`,
      edit: (text) => text.slice(0, at(where, text.length)) + text.slice(at(where, text.length) + 1),
    }),
  ),
  fc.tuple(place, fc.constantFrom(...'09azAZ-_./%+=& ')).map(
    ([where, character]): Edit => ({
      what: `${quote(character)} at ${where}`,
      edit: (text) => text.slice(0, at(where, text.length)) + character + text.slice(at(where, text.length) + 1),
    }),
  ),
  place.map(
    (where): Edit => ({
      what: `the other case at ${where}`,
      edit: (text) => {
        const index = at(where, text.length)
        const letter = text.charAt(index)
        const other = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()
        return text.slice(0, index) + other + text.slice(index + 1)
      },
    }),
  ),
  fc.constant<Edit>({ what: 'twice', edit: (text) => (text.length > 2_000 ? text : text + text) }),
  fc.constant<Edit>({ what: 'in the other case', edit: (text) => text.toUpperCase() }),
)

const method = fc
  .constantFrom(...FUZZ_METHODS)
  .map((name) => mutation(`method ${name}`, (request) => Object.assign(request, { method: name })))

function splitTarget(target: string): [path: string, query: string | undefined] {
  const mark = target.indexOf('?')
  return mark === -1 ? [target, undefined] : [target.slice(0, mark), target.slice(mark + 1)]
}

const path = fc.oneof(
  edits.map(({ what, edit }) =>
    mutation(`path: ${what}`, (request) => {
      const [given, query] = splitTarget(request.target)
      // The slash stays: a target without one is tested in wire.ts.
      request.target = `/${edit(given.slice(1))}${query === undefined ? '' : `?${query}`}`
    }),
  ),
  fc.constantFrom('/', '//', '/.', '/..', '%2f', '%00', '%20', ';a=b', '#a', '?', '??').map((end) =>
    mutation(`path ends in ${end}`, (request) => {
      const [given, query] = splitTarget(request.target)
      request.target = `${given}${end}${query === undefined ? '' : `?${query}`}`
    }),
  ),
  fc.constantFrom('http://h', 'HTTPS://tokens.example.com:99999', 'http://a@b', 'http://[::1]').map((origin) =>
    mutation(`target begins with ${origin}`, (request) => {
      request.target = `${origin}${request.target}`
    }),
  ),
  place.map((where) =>
    mutation(`path: a character percent-encoded at ${where}`, (request) => {
      const [given, query] = splitTarget(request.target)
      // An edit inside the scheme would break the target.
      if (!given.startsWith('/')) return
      const index = Math.max(1, at(where, given.length - 1))
      const code = given.charCodeAt(index)
      if (code < 0x21 || code > 0x7e || given[index] === '%') return
      const encoded = `${given.slice(0, index)}%${code.toString(16)}${given.slice(index + 1)}`
      request.target = `${encoded}${query === undefined ? '' : `?${query}`}`
    }),
  ),
)

/** Edits one `name=value` of a query or a form. */
function editPairs(text: string, where: number, edit: (pairs: string[], index: number) => void): string {
  const pairs = text.split('&')
  edit(pairs, at(where, pairs.length - 1))
  return pairs.join('&')
}

interface PairEdit {
  readonly what: string
  edit(pairs: string[], index: number): void
}

const pairEdits = fc.oneof(
  fc.tuple(edits, fc.boolean()).map(
    ([{ what, edit }, encode]): PairEdit => ({
      what: `value ${what}`,
      edit(pairs, index) {
        const [name = '', ...value] = (pairs[index] ?? '').split('=')
        const edited = edit(decodeLoosely(value.join('=')))
        pairs[index] = `${name}=${encode ? encodeURIComponent(edited.toWellFormed()) : edited}`
      },
    }),
  ),
  edits.map(
    ({ what, edit }): PairEdit => ({
      what: `name ${what}`,
      edit(pairs, index) {
        const [name = '', ...value] = (pairs[index] ?? '').split('=')
        pairs[index] = [edit(name), ...value].join('=')
      },
    }),
  ),
  fc.constant<PairEdit>({ what: 'gone', edit: (pairs, index) => void pairs.splice(index, 1) }),
  fc.constant<PairEdit>({ what: 'twice', edit: (pairs, index) => void pairs.push(pairs[index] ?? '') }),
  fc.constant<PairEdit>({
    what: 'twice, in the other case',
    edit: (pairs, index) => void pairs.push((pairs[index] ?? '').toUpperCase()),
  }),
  fc.constant<PairEdit>({
    what: 'without its value',
    edit(pairs, index) {
      pairs[index] = (pairs[index] ?? '').split('=')[0] ?? ''
    },
  }),
  fc.tuple(oddText, oddText).map(
    ([name, value]): PairEdit => ({
      what: `and ${quote(name)}=${quote(value)}`,
      edit: (pairs) => void pairs.push(`${encodeURIComponent(name.toWellFormed())}=${value}`),
    }),
  ),
  fc.integer({ min: 10, max: 900 }).map(
    (count): PairEdit => ({
      what: `and ${count} more`,
      edit: (pairs) => void pairs.push(...Array(count).fill('a=b')),
    }),
  ),
)

function decodeLoosely(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const query = fc.tuple(place, pairEdits).map(([where, { what, edit }]) =>
  mutation(`query, parameter at ${where}: ${what}`, (request) => {
    const [given, said = ''] = splitTarget(request.target)
    request.target = `${given}?${editPairs(said, where, edit)}`
  }),
)

/** wire.ts tests framing. Node answers a request without a Host. */
const OURS_ALONE = /^(?:host|content-length|transfer-encoding|expect|connection)$/i

const ODD_HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['Accept', '*/*'],
  ['Accept', 'application/json;q=0'],
  ['Accept', 'application/fido+uaf, application/json;q=0.1'],
  ['Accept', `${'a/b,'.repeat(900)}`],
  ['Accept-Encoding', 'gzip, br, identity;q=0'],
  ['Authorization', ''],
  ['Authorization', 'Basic'],
  ['Authorization', 'Basic ===='],
  ['Authorization', 'Basic 4pyTOuKckw=='],
  ['Authorization', 'Basic AAAA'],
  ['Authorization', 'Bearer a.b.c'],
  ['Authorization', 'Digest username="x"'],
  ['Content-Encoding', 'gzip'],
  ['Content-Type', 'application/json'],
  ['Content-Type', 'application/json; charset=utf-16'],
  ['Content-Type', 'application/x-www-form-urlencoded; charset="utf-8'],
  ['Content-Type', 'multipart/form-data'],
  ['Content-Type', 'multipart/form-data; boundary=----x'],
  ['Content-Type', ';;;'],
  ['Content-Type', '/'],
  ['Content-Type', 'a/b; c=d; __proto__=e'],
  ['Content-Type', `application/fido+uaf;${' x=y;'.repeat(400)}`],
  ['Content-MD5', 'x'],
  ['Cookie', 'token='],
  ['Cookie', '=;=;token=;;token=a.b.c'],
  ['Cookie', `${'a=b; '.repeat(900)}`],
  ['Date', 'never'],
  ['Early-Data', '1'],
  ['Forwarded', 'for="[::1]:x"'],
  ['If-Match', '*'],
  ['If-Modified-Since', 'Fri, 31 Dec 9999 23:59:59 GMT'],
  ['If-None-Match', '*'],
  ['If-Unmodified-Since', 'Thu, 01 Jan 1970 00:00:00 GMT'],
  ['Keep-Alive', 'timeout=1, max=1'],
  ['Max-Forwards', '0'],
  ['Origin', 'null'],
  ['Origin', 'https://app.example.com'],
  ['Access-Control-Request-Method', 'POST'],
  ['Access-Control-Request-Headers', 'grant_type, \u00e9, x'],
  ['Proxy', 'x'],
  ['Range', 'bytes=0-0'],
  ['Range', 'bytes=999999999-'],
  ['Range', 'bytes=0-1,4-5'],
  ['Referer', 'javascript:1'],
  ['Trailer', 'Content-Length'],
  ['TE', 'trailers, deflate;q=0.5'],
  ['Upgrade', 'h2c'],
  ['Upgrade', 'websocket'],
  ['Via', '1.1 x'],
  ['X-Forwarded-For', '203.0.113.9, ::1, x'],
  ['X-Forwarded-For', 'fe80::1%eth0'],
  ['X-Forwarded-For', ',,,'],
  ['X-Forwarded-Proto', 'https,http'],
  ['X-Forwarded-Host', 'evil.example'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['X-Original-URL', '/metrics'],
  ['X-Request-Id', '"quoted"'],
  ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
  ['traceparent', '00-'],
  ['tracestate', '='],
  ['baggage', `${'a=b,'.repeat(300)}`],
  ['__proto__', 'x'],
  ['constructor', 'x'],
  ['toString', 'x'],
  ['hasOwnProperty', 'x'],
]

const header = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(place, edits).map(([where, { what, edit }]) =>
      mutation(`header at ${where}: ${what}`, ({ headers }) => {
        const changed = pick(headers, where)
        if (changed && !OURS_ALONE.test(changed[0])) changed[1] = edit(changed[1])
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: place.map((where) =>
      mutation(`header at ${where} gone`, ({ headers }) => {
        const index = at(where, headers.length - 1)
        if (!OURS_ALONE.test(headers[index]?.[0] ?? '')) headers.splice(index, 1)
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(place, place).map(([where, to]) =>
      mutation(`header at ${where} once more at ${to}`, ({ headers }) => {
        const [name, value] = pick(headers, where) ?? ['X', 'x']
        headers.splice(at(to, headers.length), 0, [name, value])
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: place.map((where) =>
      mutation(`header at ${where} in capitals`, ({ headers }) => {
        const changed = pick(headers, where)
        if (changed) changed[0] = changed[0].toUpperCase()
      }),
    ),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(fc.constantFrom(...ODD_HEADERS), fc.boolean(), place).map(([odd, replaces, where]) =>
      mutation(`${replaces ? 'in place, ' : ''}header ${odd[0]}: ${quote(odd[1])}`, ({ headers }) => {
        const [name, value] = odd
        const before = headers.findIndex(([given]) => given.toLowerCase() === name.toLowerCase())
        if (replaces && before !== -1) headers.splice(before, 1, [name, value])
        else headers.splice(at(where, headers.length), 0, [name, value])
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: edits.map(({ what, edit }) =>
      mutation(`Basic credentials: ${what}`, ({ headers }) => {
        const given = headers.find(([name, value]) => name === 'Authorization' && value.startsWith('Basic '))
        if (!given) return
        const decoded = Buffer.from(given[1].slice('Basic '.length), 'base64').toString()
        given[1] = `Basic ${Buffer.from(edit(decoded)).toString('base64')}`
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 10, max: 300 }).map((count) =>
      mutation(`${count} more headers`, ({ headers }) => {
        for (let index = 0; index < count; index++) headers.push([`X-${index % 50}`, 'y'])
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 1_000, max: 9_000 })
      .map((length) =>
        mutation(`a header of ${length} bytes`, ({ headers }) => void headers.push(['X-Long', 'x'.repeat(length)])),
      ),
  },
)

function editJson(body: Buffer, where: number, json: string, inside: boolean): Buffer {
  const members: [string, string][] = []
  try {
    const parsed = JSON.parse(body.toString()) as Record<string, unknown>
    for (const [name, value] of Object.entries(parsed)) members.push([JSON.stringify(name), JSON.stringify(value)])
    const changed = pick(members, where)
    if (!changed) return body
    // The context is JSON within JSON.
    const isText = inside && typeof JSON.parse(changed[1]) === 'string'
    changed[1] = isText ? JSON.stringify(json) : json
  } catch {
    return body
  }
  return Buffer.from(`{${members.map((member) => member.join(':')).join(',')}}`)
}

const body = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(place, pairEdits).map(([where, { what, edit }]) =>
      mutation(`form, parameter at ${where}: ${what}`, (request) => {
        if (request.body) request.body = Buffer.from(editPairs(request.body.toString(), where, edit))
      }),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(place, oddJson, fc.boolean()).map(([where, json, inside]) =>
      mutation(`JSON, ${inside ? 'inside of ' : ''}member at ${where}: ${quote(json)}`, (request) => {
        if (request.body) request.body = editJson(request.body, where, json, inside)
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(oddText, oddJson).map(([name, json]) =>
      mutation(`JSON, and ${quote(name)}: ${quote(json)}`, (request) => {
        if (!request.body) return
        request.body = Buffer.from(request.body.toString().replace(/\}$/, () => `,${JSON.stringify(name)}:${json}}`))
      }),
    ),
  },
  {
    weight: 3,
    arbitrary: edits.map(({ what, edit }) =>
      mutation(`body: ${what}`, (request) => {
        request.body = Buffer.from(edit(request.body?.toString() ?? ''))
      }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(place, oddBytes).map(([where, odd]) =>
      mutation(`body: bytes ${odd.toString('hex')} at ${where}`, (request) => {
        const given = request.body ?? Buffer.alloc(0)
        const index = at(where, given.length)
        request.body = Buffer.concat([given.subarray(0, index), odd, given.subarray(index)])
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(65_535, 65_536, 65_537, 70_000).map((length) =>
      mutation(`body of ${length} bytes`, (request) => {
        request.body = Buffer.concat([request.body ?? Buffer.alloc(0), Buffer.alloc(length, '&a=b')]).subarray(
          0,
          length,
        )
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('utf16le' as const, 'latin1' as const).map((encoding) =>
      mutation(`body in ${encoding}`, (request) => {
        if (request.body) request.body = Buffer.from(request.body.toString(), encoding)
      }),
    ),
  },
  { weight: 1, arbitrary: fc.constant(mutation('no body', (request) => Object.assign(request, { body: undefined }))) },
  {
    weight: 1,
    arbitrary: fc.constant(mutation('an empty body', (request) => Object.assign(request, { body: Buffer.alloc(0) }))),
  },
  {
    weight: 1,
    arbitrary: fc.constant(
      mutation('the body in other pieces', (request) => Object.assign(request, { chunked: !request.chunked })),
    ),
  },
)

/** Generates one change anywhere in a request. */
export const mutations: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 1, arbitrary: method },
  { weight: 3, arbitrary: path },
  { weight: 4, arbitrary: query },
  { weight: 6, arbitrary: header },
  { weight: 6, arbitrary: body },
)

/** A correct request and a few changes to it. */
export interface Changed {
  readonly draft: Draft
  readonly mutations: readonly Mutation[]
}

/** Generates one to three changes, because more hide each other. A quarter of the requests stay unchanged. */
export const changes = fc.oneof(
  { weight: 1, arbitrary: fc.constant([]) },
  { weight: 3, arbitrary: fc.array(mutations, { minLength: 1, maxLength: 3 }) },
)

/** Bytes of headers that every server accepts. */
const MAX_HEAD_BYTES = 15_000

/** @param fill replaces placeholders by tokens. */
export function change({ draft, mutations }: Changed, fill: (text: string) => string): FuzzRequest {
  const request: Changing = {
    method: draft.method,
    target: fill(draft.target),
    headers: draft.headers.map(([name, value]) => [name, fill(value)]),
    body: draft.body === undefined ? undefined : Buffer.from(fill(draft.body)),
    chunked: draft.chunked ?? false,
  }
  for (const { apply } of mutations) apply(request)
  // Three changes may exceed the limit for headers, which wire.ts tests.
  while (headSize(request) > MAX_HEAD_BYTES) {
    const { target, headers } = request
    if (headers.length > 0 && target.length <= MAX_HEAD_BYTES / 2) headers.pop()
    else request.target = target.slice(0, target.length / 2)
  }
  if (!request.headers.some(([name]) => name.toLowerCase() === 'host')) request.headers.unshift(['Host', 'x'])
  return request
}

function headSize({ target, headers }: Changing): number {
  const targetSize = target.replace(/[^!-~]/g, '%00%00%00').length
  return headers.reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value) + 4, targetSize)
}
