import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'

/** Every error outside the contracts, in the form of RFC 6749 section 5.2. */
export const serviceError = z.object({ error: z.string(), error_description: z.string() })

type ServiceError = z.output<typeof serviceError>

const NOT_FOUND: ServiceError = { error: 'not_found', error_description: 'There is nothing at this path.' }
const BAD_REQUEST: ServiceError = { error: 'invalid_request', error_description: 'The request cannot be read.' }
const TOO_LARGE: ServiceError = { error: 'invalid_request', error_description: 'The request is too large.' }
const FAILED: ServiceError = { error: 'server_error', error_description: 'Something went wrong; the log says what.' }

export function replyNotFound(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.code(404).send(NOT_FOUND)
}

/** The one place where an error outside the contracts becomes a reply. */
export function replyWithServiceError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { statusCode = 500 } = error as { statusCode?: number }
  // Set here once more: a path that cannot be decoded never meets a hook.
  reply.header('x-request-id', request.id)
  // A path that cannot be decoded is the path of nothing.
  if ((error as { code?: string }).code === 'FST_ERR_BAD_URL') return replyNotFound(request, reply)
  if (statusCode === 413) return reply.code(413).send(TOO_LARGE)
  if (statusCode < 500) return reply.code(400).send(BAD_REQUEST)
  request.log.error({ err: error, requestId: request.id }, 'unexpected error')
  return reply.code(500).send(FAILED)
}

const BROKEN: Readonly<Record<string, readonly [status: string, body: ServiceError]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', TOO_LARGE],
  ERR_HTTP_REQUEST_TIMEOUT: [
    '408 Request Timeout',
    { error: 'invalid_request', error_description: 'The request did not arrive in time.' },
  ],
}

/** What is not HTTP gets a last word and no connection. It is not logged: its bytes may hold credentials. */
export function replyToBrokenRequest({ code }: { code: string }, socket: Duplex): void {
  // While an earlier request on this connection is being answered, these bytes would be taken for its answer.
  const isAnswering = Boolean((socket as { _httpMessage?: unknown })._httpMessage)
  if (code === 'ECONNRESET' || !socket.writable || isAnswering) return void socket.destroy()
  const [status, body] = BROKEN[code] ?? ['400 Bad Request', BAD_REQUEST]
  const json = JSON.stringify(body)
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${json.length}`
  socket.end(`${head}\r\nConnection: close\r\n\r\n${json}`)
}
