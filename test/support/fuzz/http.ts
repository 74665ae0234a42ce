import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A correctly framed HTTP/1.1 request. Broken framing is in wire.ts. */
export interface FuzzRequest {
  readonly method: string
  readonly target: string
  /** In order, with names as sent. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body?: Buffer | undefined
  readonly chunked?: boolean
}

export interface Answer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, readonly string[]>
  readonly body: Buffer
}

/** Milliseconds without a byte after which a request counts as hanging. Longer than every limit of the server. */
const HANG_TIMEOUT_MS = 30_000

/** Encodes a request. Text becomes UTF-8; characters that a header or a target cannot hold become question marks. */
export function encodeRequest({ method, target, headers, body, chunked = false }: FuzzRequest): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${toHeaderText(value)}`)
  if (body && chunked) lines.push('Transfer-Encoding: chunked')
  else if (body) lines.push(`Content-Length: ${body.length}`)
  const head = Buffer.from(`${method} ${toTargetText(target)} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  if (!body) return head
  return Buffer.concat(chunked ? [head, ...toChunks(body)] : [head, body])
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a header cannot hold them
const CONTROLS = /[\u0000-\u001f\u007f]/g

function toHeaderText(text: string): string {
  return Buffer.from(text).toString('latin1').replace(CONTROLS, '?')
}

function toTargetText(text: string): string {
  return text.replace(/[^!-~]+/g, (odd) => encodeURIComponent(odd.toWellFormed())) || '/'
}

function toChunks(body: Buffer): Buffer[] {
  const half = Math.floor(body.length / 2)
  const parts = [body.subarray(0, half), body.subarray(half)].filter((part) => part.length > 0)
  const chunks = parts.flatMap((part) => [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')])
  return [...chunks, Buffer.from('0\r\n\r\n')]
}

/** Parses the bytes of one connection into answers, and keeps bytes that are not an answer. */
interface AnswerReader {
  push(chunk: Buffer): Answer[]
  /** Completes an answer that only the end of the connection ends. */
  end(): Answer[]
  rest(): Buffer
}

/** @param methods of the requests, in order. An answer to HEAD has no body, whatever its headers state. */
function createAnswerReader(methods: Iterable<string>): AnswerReader {
  const asked = methods[Symbol.iterator]()
  let buffered: Buffer = Buffer.alloc(0)
  let method: string | undefined

  function take(ended: boolean): Answer | undefined {
    for (;;) {
      const end = buffered.indexOf('\r\n\r\n')
      if (end === -1) return undefined
      const [line = '', ...lines] = buffered.toString('latin1', 0, end).split('\r\n')
      const status = Number(/^HTTP\/1\.1 ([1-5][0-9]{2}) /.exec(`${line} `)?.[1])
      if (Number.isNaN(status)) throw new Error(`no status line: ${JSON.stringify(line)}`)
      if (status < 200) {
        buffered = buffered.subarray(end + 4)
        continue
      }
      method ??= asked.next().value ?? 'GET'
      const headers = readHeaders(lines)
      const body = readBody(buffered.subarray(end + 4), status, method ?? 'GET', headers, ended)
      if (!body) return undefined
      buffered = buffered.subarray(end + 4 + body.length)
      method = undefined
      return { status, headers, body: body.content }
    }
  }

  function takeAll(ended: boolean): Answer[] {
    const answers: Answer[] = []
    for (let answer = take(ended); answer; answer = take(ended)) answers.push(answer)
    return answers
  }

  return {
    push(chunk) {
      buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk])
      return takeAll(false)
    },
    end: () => takeAll(true),
    rest: () => buffered,
  }
}

function readHeaders(lines: readonly string[]): Map<string, string[]> {
  const headers = new Map<string, string[]>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon < 1) throw new Error(`no header: ${JSON.stringify(line)}`)
    const name = line.slice(0, colon).toLowerCase()
    const values = headers.get(name)
    const value = line.slice(colon + 1).trim()
    if (values) values.push(value)
    else headers.set(name, [value])
  }
  return headers
}

interface Body {
  readonly content: Buffer
  /** Bytes on the wire. */
  readonly length: number
}

function readBody(
  bytes: Buffer,
  status: number,
  method: string,
  headers: ReadonlyMap<string, readonly string[]>,
  ended: boolean,
): Body | undefined {
  if (method === 'HEAD' || status === 204 || status === 304) return { content: Buffer.alloc(0), length: 0 }
  if (headers.get('transfer-encoding')?.includes('chunked')) return readChunks(bytes)
  const length = headers.get('content-length')?.[0]
  if (length === undefined) return ended ? { content: bytes, length: bytes.length } : undefined
  return bytes.length < Number(length)
    ? undefined
    : { content: bytes.subarray(0, Number(length)), length: Number(length) }
}

function readChunks(bytes: Buffer): Body | undefined {
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at)
    if (end === -1) return undefined
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16)
    if (bytes.length < end + 4 + size) return undefined
    if (size === 0) return { content: Buffer.concat(parts), length: end + 4 }
    parts.push(bytes.subarray(end + 2, end + 2 + size))
    at = end + 2 + size + 2
  }
}

/** A connection on which requests are answered in order. */
export interface Connection {
  /**
   * Sends the requests at once, except bodies that are too large, and waits for their answers. Opens a new
   * connection when the server closes one.
   *
   * @returns undefined in place of an answer to a body that was too large, when the connection closed first.
   */
  ask(requests: readonly FuzzRequest[]): Promise<(Answer | undefined)[]>
  close(): Promise<void>
}

/** The largest body that the server reads. */
const MAX_BODY_BYTES = 65_536

const isTooLarge = ({ body }: FuzzRequest): boolean => body !== undefined && body.length > MAX_BODY_BYTES

const closes = (answer: Answer | undefined): boolean => answer?.headers.get('connection')?.[0] === 'close'

export function openConnection(port: number): Connection {
  let line: Line | undefined

  async function askOn({ socket, next }: Line, requests: readonly FuzzRequest[]): Promise<(Answer | undefined)[]> {
    const answers: Answer[] = []
    const reader = createAnswerReader(requests.map(({ method }) => method))
    socket.write(Buffer.concat(requests.map(encodeRequest)))
    while (answers.length < requests.length) {
      const chunk = await next()
      if (chunk === undefined) {
        line = undefined
        if (closes(answers.at(-1))) return answers
        if (requests.some(isTooLarge)) return [...answers, undefined]
        throw new Error(describeEnd(requests, answers))
      }
      answers.push(...reader.push(chunk))
    }
    if (reader.rest().length > 0) throw new Error(`unexpected bytes after the last answer: ${show(reader.rest())}`)
    if (closes(answers.at(-1))) {
      socket.destroy()
      line = undefined
    }
    return answers
  }

  return {
    async ask(requests) {
      const answers: (Answer | undefined)[] = []
      while (answers.length < requests.length) {
        line ??= await dial(port)
        const left = requests.slice(answers.length)
        // A body that is too large closes the connection, which may discard earlier answers. Send it on its own.
        const large = left.findIndex(isTooLarge)
        answers.push(...(await askOn(line, large === -1 ? left : left.slice(0, Math.max(1, large)))))
      }
      return answers
    },
    async close() {
      if (!line || line.socket.destroyed) return
      const closed = once(line.socket, 'close')
      line.socket.end()
      await closed
    },
  }
}

function describeEnd(requests: readonly FuzzRequest[], answers: readonly Answer[]): string {
  const [last, next] = [requests[answers.length - 1], requests[answers.length]]
  const answer = answers.at(-1)
  return [
    `the connection ended without an answer to ${next && show(encodeRequest(next))}`,
    `after ${answer?.status} ${JSON.stringify([...(answer?.headers ?? [])])} ${answer && show(answer.body)}`,
    `to ${last && show(encodeRequest(last))}`,
  ].join('\n')
}

/** A socket with a promise for its next bytes. */
interface Line {
  readonly socket: Socket
  /** Resolves to the next bytes, or undefined at the end. */
  next(): Promise<Buffer | undefined>
}

async function dial(port: number): Promise<Line> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const chunks: Buffer[] = []
  let ended = false
  let hangs = false
  let wake = (): void => undefined
  socket.setTimeout(HANG_TIMEOUT_MS, () => {
    hangs = true
    socket.destroy()
  })
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    wake()
  })
  for (const event of ['end', 'close']) {
    socket.on(event, () => {
      ended = true
      wake()
    })
  }
  await once(socket, 'connect')
  // A reset counts as the end.
  socket.on('error', () => undefined)

  return {
    socket,
    async next() {
      while (chunks.length === 0 && !ended) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      if (hangs) throw new Error(`hangs: no byte for ${HANG_TIMEOUT_MS} ms`)
      return chunks.shift()
    },
  }
}

/** A piece of a request, and how long to wait before sending it. */
export interface Piece {
  readonly bytes: Buffer
  readonly pauseMs: number
}

/** How a sender finishes: waits for the end, closes its half of the connection, or resets it. */
export type Leave = 'wait' | 'half-close' | 'reset'

export interface RawOutcome {
  readonly answers: readonly Answer[]
  /** Bytes after the last answer. */
  readonly rest: Buffer
  /** Whether the server closed the connection. */
  readonly ended: boolean
}

/** Sends bytes unchanged on a new connection. Waits for its end unless the sender resets it. */
export async function sendRaw(
  port: number,
  pieces: readonly Piece[],
  leave: Leave,
  methods: readonly string[],
): Promise<RawOutcome> {
  const { socket, next } = await dial(port)
  const reader = createAnswerReader(methods)
  const answers: Answer[] = []
  try {
    for (const { bytes, pauseMs } of pieces) {
      if (pauseMs > 0) await sleep(pauseMs)
      // The server closed the connection.
      if (!socket.writable) break
      socket.write(bytes)
    }
    if (leave === 'reset') {
      socket.resetAndDestroy()
      return { answers, rest: reader.rest(), ended: false }
    }
    if (leave === 'half-close') socket.end()
    for (let chunk = await next(); chunk; chunk = await next()) answers.push(...reader.push(chunk))
    answers.push(...reader.end())
    return { answers, rest: reader.rest(), ended: true }
  } finally {
    socket.destroy()
  }
}

/** Formats bytes so that they can be read and sent again. */
export function show(bytes: Buffer): string {
  const text = JSON.stringify(bytes.toString('latin1'))
  return text.length > 3_000 ? `${text.slice(0, 3_000)}… (${bytes.length} bytes)` : text
}
