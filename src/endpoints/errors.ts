import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { StoreUnavailableError } from '../core/availability.ts'
import { OVERLOAD_PAUSE, Refusal, storeUnavailableRefusal, toRetryAfter } from '../http/refusal.ts'
import { type AuditLog, type RefusalReason, requestFields } from '../observability/audit-log.ts'

/** Every error outside the contracts, in the form of RFC 6749 section 5.2. */
export const serviceError = z.object({ error: z.string(), error_description: z.string() })

type ServiceError = z.output<typeof serviceError>

const NOT_FOUND: ServiceError = { error: 'not_found', error_description: 'There is nothing at this path.' }
const BAD_REQUEST: ServiceError = { error: 'invalid_request', error_description: 'The request cannot be read.' }
const TOO_LARGE: ServiceError = { error: 'invalid_request', error_description: 'The request is too large.' }
const OVERLOADED: ServiceError = {
  error: 'temporarily_unavailable',
  error_description: 'Too many requests at once. Try again later.',
}
const FAILED: ServiceError = { error: 'server_error', error_description: 'Something went wrong; the log says what.' }

export function replyNotFound(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.code(404).header('cache-control', 'no-store').send(NOT_FOUND)
}

/** The one place where an error outside the contracts becomes a reply. */
export function replyWithServiceError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { statusCode = 500 } = error as { statusCode?: number }
  // Set here once more: a path that cannot be decoded never meets a hook.
  reply.header('x-request-id', request.id).header('cache-control', 'no-store')
  // A path that cannot be decoded is the path of nothing.
  if ((error as { code?: string }).code === 'FST_ERR_BAD_URL') return replyNotFound(request, reply)
  if (statusCode === 413) return reply.code(413).send(TOO_LARGE)
  if (error instanceof Refusal && error.reason === 'overloaded') {
    return reply.code(503).header('retry-after', toRetryAfter(OVERLOAD_PAUSE)).send(OVERLOADED)
  }
  if (statusCode < 500) return reply.code(400).send(BAD_REQUEST)
  request.log.error({ err: error, requestId: request.id }, 'unexpected error')
  return reply.code(500).send(FAILED)
}

type Reply = readonly [status: number, error: string, description: string]

/** The same for everyone who has not proved who they are (RFC 6749 section 5.2). */
const INVALID_CLIENT: Reply = [401, 'invalid_client', 'The id or the secret of the resource server is wrong.']

const LIFECYCLE_REPLIES: Partial<Readonly<Record<RefusalReason, Reply>>> = {
  method_not_allowed: [405, 'invalid_request', 'Only POST is supported.'],
  missing_authorization: INVALID_CLIENT,
  malformed_authorization: INVALID_CLIENT,
  unknown_resource_server: INVALID_CLIENT,
  bad_secret: INVALID_CLIENT,
  bad_parameter: [400, 'invalid_request', 'The body has to be a form with one token, each parameter once.'],
  bad_body: [400, 'invalid_request', 'The body is broken.'],
  body_too_large: [413, 'invalid_request', 'The request is too large.'],
  blocked: [429, 'temporarily_unavailable', 'Too many failed attempts. Try again later.'],
  overloaded: [503, OVERLOADED.error, OVERLOADED.error_description],
  store_unavailable: [503, 'temporarily_unavailable', 'The store cannot be asked. Try again later.'],
}

/** The one place where an error of introspection and revocation becomes a reply. */
export function createLifecycleErrorHandler(audit: AuditLog) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { reason, details } = toRefusal(error, request)
    if (reason === 'internal_error') request.log.error({ err: error, requestId: request.id }, 'unexpected error')
    const { resourceServer, parameters, cause, retryAfter } = details
    audit.refused({
      contract: 'service',
      reason,
      resourceServer,
      parameters,
      cause,
      ...requestFields(request),
    })
    if (retryAfter !== undefined) reply.header('retry-after', toRetryAfter(retryAfter))
    const [status, code, description] = LIFECYCLE_REPLIES[reason] ?? [500, FAILED.error, FAILED.error_description]
    if (status === 401) reply.header('www-authenticate', 'Basic realm="Trimint", charset="UTF-8"')
    // The plugin for HTTP Basic asks for credentials whatever was wrong.
    else reply.removeHeader('www-authenticate')
    if (status === 405) reply.header('allow', 'POST')
    const body: ServiceError = { error: code, error_description: description }
    return reply.code(status).header('cache-control', 'no-store').send(body)
  }
}

function toRefusal(error: unknown, request: FastifyRequest): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof StoreUnavailableError) return storeUnavailableRefusal(error)
  const { code, statusCode } = error as { code?: string; statusCode?: number }
  if (code === 'FST_BASIC_AUTH_MISSING_OR_BAD_AUTHORIZATION_HEADER') {
    return new Refusal(request.headers.authorization ? 'malformed_authorization' : 'missing_authorization')
  }
  if (statusCode === 413) return new Refusal('body_too_large')
  // Broken off, not as long as it was announced, or of a type that cannot be read.
  return new Refusal(statusCode === 400 || statusCode === 415 ? 'bad_body' : 'internal_error')
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
