// Requests as bytes, and what is read of an answer: as little as can be said without trusting the server. Not a program of its own.

const HEAD_END = '\r\n\r\n'

export interface RequestParts {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** A request as it goes over the wire. */
export function formatRequest({ method, path, headers = {}, body = '' }: RequestParts): string {
  const length = body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const lines = Object.entries({ host: 'tokens.example.com', ...headers, ...length }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

/** Stands in a request where each time another token goes. */
export const TOKEN_PLACE = '{token}'

/** Puts a token into a request that has a place for one. */
export function fillIn(request: string, token: string): string {
  const [head = '', body = ''] = request.split(HEAD_END)
  const whole = body.replace(TOKEN_PLACE, token)
  const rightHead = head
    .replace(TOKEN_PLACE, token)
    .replace(/(\r\ncontent-length: )[0-9]+/, `$1${Buffer.byteLength(whole)}`)
  return rightHead + HEAD_END + whole
}

export interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
}

const LAST_CHUNK = '0\r\n\r\n'

/** @returns undefined while the answer is not whole. */
export function readAnswer(text: string): Answer | undefined {
  const headEnd = text.indexOf(HEAD_END)
  if (headEnd === -1) return undefined
  const head = text.slice(0, headEnd)
  const start = headEnd + HEAD_END.length
  const length = /\r\ncontent-length: *([0-9]+)/i.exec(head)?.[1]
  if (length !== undefined) {
    const end = start + Number(length)
    if (text.length < end) return undefined
    if (text.length > end) throw new Error('an answer longer than its Content-Length')
    return toAnswer(head, text.slice(start))
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) throw new Error(`an answer without a length: ${head}`)
  return text.endsWith(LAST_CHUNK) ? toAnswer(head, joinChunks(text.slice(start))) : undefined
}

function toAnswer(head: string, body: string): Answer {
  return { status: Number(head.slice(9, 12)), head, body }
}

function joinChunks(text: string): string {
  let body = ''
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf('\r\n', at)
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    if (!(size > 0)) return body
    body += text.slice(lineEnd + 2, lineEnd + 2 + size)
    at = lineEnd + 2 + size + 2
  }
}
