import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { StoreUnavailableError } from '../../core/availability.ts'
import { Refusal, storeUnavailableRefusal, toRetryAfter } from '../../http/refusal.ts'
import { type AuditLog, type RefusalReason, requestFields } from '../../observability/audit-log.ts'
import type { bwsError } from './schema.ts'

type Reply = readonly [status: number, message: string]

const UNAUTHORIZED: Reply = [401, 'Unauthorized']
const FAILED: Reply = [500, 'An error has occurred.']

/** What each reason looks like to the caller; the log says the rest. */
const REPLIES: Partial<Readonly<Record<RefusalReason, Reply>>> = {
  method_not_allowed: [405, 'The requested resource supports GET and HEAD only.'],
  missing_authorization: UNAUTHORIZED,
  malformed_authorization: UNAUTHORIZED,
  unknown_app: UNAUTHORIZED,
  bad_secret: UNAUTHORIZED,
  bad_parameter: [400, 'The request is invalid.'],
  foreign_id: [403, 'The id is not the App-ID of the caller.'],
  task_not_allowed: [403, 'The app may not use this task.'],
  bcid_not_allowed: [403, 'The app may not use this storage and partition.'],
  invalid_token: UNAUTHORIZED,
  token_expired: UNAUTHORIZED,
  token_not_yet_valid: UNAUTHORIZED,
  token_revoked: UNAUTHORIZED,
  wrong_task: [403, 'The token is for another task.'],
  tries_used_up: [403, 'The tries of the token are used up.'],
  overloaded: [503, 'Temporarily unavailable. Try again later.'],
  store_unavailable: [503, 'Temporarily unavailable. Try again later.'],
  blocked: [429, 'Too many failed attempts. Try again later.'],
  internal_error: FAILED,
}

/** A refusal that names every parameter at fault and what is allowed (B5, B20). */
export function invalidParameters(
  app: string,
  repeated: readonly string[],
  issues: readonly z.core.$ZodIssue[],
): Refusal {
  const messages = new Map<string, string>()
  for (const { path, message } of issues) {
    const name = String(path[0])
    messages.set(name, `${name} must be ${message}.`)
  }
  for (const name of repeated) messages.set(name, `${name} must be given only once.`)
  const parameters = [...messages.keys()]
  return new Refusal('bad_parameter', { app, parameters, message: [...messages.values()].join(' ') })
}

/**
 * The one place where an error of this contract becomes a reply (B20 to B22).
 *
 * @param challenge the `WWW-Authenticate` of a 401, where nothing else sets one.
 */
export function createErrorHandler(audit: AuditLog, challenge?: string) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { reason, details } = toRefusal(error, request)
    const [status, message] = REPLIES[reason] ?? FAILED
    if (reason === 'internal_error') request.log.error({ err: error, requestId: request.id }, 'unexpected error')
    audit.refused({
      contract: 'bws',
      reason,
      app: details.app,
      operation: details.operation,
      tokenId: details.tokenId,
      parameters: details.parameters,
      cause: details.cause,
      ...requestFields(request),
    })
    if (status === 405) reply.header('allow', 'GET, HEAD')
    if (status === 401 && challenge !== undefined) reply.header('www-authenticate', challenge)
    // The plugin for HTTP Basic asks for credentials whatever was wrong.
    if (status !== 401) reply.removeHeader('www-authenticate')
    if (details.retryAfter !== undefined) reply.header('retry-after', toRetryAfter(details.retryAfter))
    const body: z.output<typeof bwsError> = { Message: details.message ?? message }
    return reply.code(status).header('cache-control', 'no-store').send(body)
  }
}

function toRefusal(error: unknown, request: FastifyRequest): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof StoreUnavailableError) return storeUnavailableRefusal(error)
  const { code } = error as { code?: unknown }
  if (code === 'FST_BASIC_AUTH_MISSING_OR_BAD_AUTHORIZATION_HEADER') {
    return new Refusal(request.headers.authorization ? 'malformed_authorization' : 'missing_authorization')
  }
  return new Refusal('internal_error')
}
