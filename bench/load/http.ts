// HTTP/1.1 as bytes: formats requests, and reads no more of an answer than its check needs.

import { once } from 'node:events'
import { connect } from 'node:net'

const HEAD_END = '\r\n\r\n'

/** The placeholder in a request for a token that differs from request to request. */
export const TOKEN_PLACE = '{token}'

/** What a signed token looks like, as a regular expression. */
export const JWS = '[\\w-]+\\.[\\w-]+\\.[\\w-]+'

export const FORM = 'application/x-www-form-urlencoded'

export const basic = (id: string, secret: string): string =>
  `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`

/** @param line the method and the path */
export function formatRequest(line: string, headers: Readonly<Record<string, string>> = {}, body = ''): string {
  const length = body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const all = { host: 'tokens.example.com', ...headers, ...length }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${line} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

export function fillIn(request: string, token: string): string {
  const [head = '', body = ''] = request.split(HEAD_END)
  const filledBody = body.replace(TOKEN_PLACE, token)
  const filledHead = head
    .replace(TOKEN_PLACE, token)
    .replace(/(\r\ncontent-length: )[0-9]+/, `$1${Buffer.byteLength(filledBody)}`)
  return filledHead + HEAD_END + filledBody
}

export interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** Parses an answer with a Content-Length. @returns undefined while it is incomplete */
function readAnswer(text: string): Answer | undefined {
  const headEnd = text.indexOf(HEAD_END)
  if (headEnd === -1) return undefined
  const head = text.slice(0, headEnd)
  const length = /\r\ncontent-length: *([0-9]+)/i.exec(head)?.[1]
  if (length === undefined) throw new Error(`answer without Content-Length: ${head}`)
  const start = headEnd + HEAD_END.length
  const end = start + Number(length)
  if (text.length < end) return undefined
  if (text.length > end) throw new Error('answer longer than its Content-Length')
  return { status: Number(head.slice(9, 12)), head, body: text.slice(start) }
}

/** A kept-alive connection that carries one request at a time. */
export interface Connection {
  /** When the current request was due, in milliseconds of performance.now(). */
  due: number
  request: Buffer
  send(): void
  close(): void
}

export async function openConnection(
  port: number,
  onAnswer: (answer: Answer, connection: Connection) => void,
  onError: (error: Error) => void,
): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  let received = ''
  const connection: Connection = {
    due: 0,
    request: Buffer.alloc(0),
    send: () => void socket.write(connection.request),
    close: () => void socket.removeAllListeners('close').destroy(),
  }
  socket.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1')
    try {
      const answer = readAnswer(received)
      if (!answer) return
      received = ''
      onAnswer(answer, connection)
    } catch (error) {
      onError(error as Error)
    }
  })
  socket.on('error', onError)
  socket.on('close', () => onError(new Error('the server closed a connection')))
  return connection
}

/** Sends one request on a new connection. */
export async function requestOnce(port: number, request: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const connection = await openConnection(port, resolve, reject)
  connection.request = Buffer.from(request)
  connection.send()
  return promise.finally(() => connection.close())
}
