import type { Duplex } from 'node:stream'

const REPLIES: Readonly<Record<string, readonly [status: string, description: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The request is too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request did not arrive in time.'],
}

/**
 * Answers bytes that are not HTTP and closes the connection. Logs nothing: the bytes may hold credentials.
 *
 * @param isAnswering whether an earlier request on the connection has no complete answer yet, which these bytes would
 *   become part of.
 */
export function replyToBrokenRequest({ code }: { code: string }, socket: Duplex, isAnswering: boolean): void {
  if (code === 'ECONNRESET' || !socket.writable || isAnswering) return void socket.destroy()
  const [status, description] = REPLIES[code] ?? ['400 Bad Request', 'The request cannot be read.']
  const json = JSON.stringify({ error: 'invalid_request', error_description: description })
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${json.length}`
  socket.end(`${head}\r\nConnection: close\r\n\r\n${json}`)
}
