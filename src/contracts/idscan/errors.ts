import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { StoreUnavailableError } from '../../core/availability.ts'
import { PasswordQueueFullError } from '../../core/crypto/passwords.ts'
import { OVERLOAD_PAUSE, Refusal, storeUnavailableRefusal, toRetryAfter } from '../../http/refusal.ts'
import { type AuditLog, type RefusalReason, requestFields } from '../../observability/audit-log.ts'
import type { idscanAccessError, idscanError } from './schema.ts'

type Reply = readonly [status: number, error: string, description: string]

/** Spelled as the vendor's server does (I15). */
export const CONTENT_TYPE = 'application/json;charset=UTF-8'

/** One and the same for everything that a caller could tell accounts apart by (I23). */
const INVALID_GRANT: Reply = [400, 'invalid_grant', 'The user name or password is incorrect.']
const FAILED: Reply = [500, 'server_error', 'Something went wrong.']

const REPLIES: Partial<Readonly<Record<RefusalReason, Reply>>> = {
  method_not_allowed: [405, 'invalid_request', 'Only POST is supported.'],
  unsupported_grant_type: [400, 'unsupported_grant_type', 'The body has to be a form with grant_type=password, once.'],
  bad_parameter: [400, 'invalid_request', 'The request is invalid.'],
  body_too_large: [413, 'invalid_request', 'The body is too large.'],
  bad_body: [400, 'invalid_request', 'The body is broken.'],
  unknown_account: INVALID_GRANT,
  bad_password: INVALID_GRANT,
  account_disabled: INVALID_GRANT,
  area_not_allowed: [400, 'invalid_grant', 'The account may not use this area.'],
  blocked: [429, 'temporarily_unavailable', 'Too many failed attempts. Try again later.'],
  overloaded: [503, 'temporarily_unavailable', 'Too many requests at once. Try again later.'],
  internal_error: FAILED,
}

type Denial = readonly [status: number, message: string]

/** The vendor's resources speak another dialect than its token endpoint (I30). */
const DENIED: Denial = [401, 'Authorization has been denied for this request.']
const ACCESS_FAILED: Denial = [500, 'An error has occurred.']

const ACCESS_REPLIES: Partial<Readonly<Record<RefusalReason, Denial>>> = {
  missing_authorization: DENIED,
  invalid_token: DENIED,
  token_expired: DENIED,
  token_not_yet_valid: DENIED,
  token_revoked: DENIED,
  token_idle: DENIED,
  unknown_account: DENIED,
  account_disabled: DENIED,
  wrong_area: [403, 'The token is for another area.'],
  overloaded: [503, 'Temporarily unavailable. Try again later.'],
  store_unavailable: [503, 'Temporarily unavailable. Try again later.'],
}

/** A refusal that names every parameter at fault and what is allowed. */
export function invalidParameters(repeated: readonly string[], issues: readonly z.core.$ZodIssue[]): Refusal {
  const messages = new Map(
    issues.map(({ path, message }) => [String(path[0]), `${String(path[0])} must be ${message}.`]),
  )
  for (const name of repeated) messages.set(name, `${name} must be given only once.`)
  return new Refusal('bad_parameter', { parameters: [...messages.keys()], message: [...messages.values()].join(' ') })
}

/** Where an error of the token endpoint becomes a reply (I23 to I26). */
export function createErrorHandler(audit: AuditLog) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const refusal = toRefusal(error)
    const [status, code, description] = REPLIES[refusal.reason] ?? FAILED
    if (status === 500) request.log.error({ err: error, requestId: request.id }, 'unexpected error')
    auditRefusal(refusal, request, audit)
    if (status === 405) reply.header('allow', 'POST, OPTIONS')
    const { details } = refusal
    if (details.retryAfter !== undefined) reply.header('retry-after', toRetryAfter(details.retryAfter))
    const body: z.output<typeof idscanError> = { error: code, error_description: details.message ?? description }
    // Fastify has taken the content type away, as it does before every error handler.
    return reply.code(status).header('content-type', CONTENT_TYPE).send(JSON.stringify(body))
  }
}

/** Where a token that is not good enough becomes a reply (I30, I31). */
export function createAccessErrorHandler(audit: AuditLog) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const refusal = toRefusal(error)
    const [status, message] = ACCESS_REPLIES[refusal.reason] ?? ACCESS_FAILED
    if (status === 500) request.log.error({ err: error, requestId: request.id }, 'unexpected error')
    auditRefusal(refusal, request, audit)
    if (status === 401) reply.header('www-authenticate', 'Bearer')
    const { retryAfter } = refusal.details
    if (retryAfter !== undefined) reply.header('retry-after', toRetryAfter(retryAfter))
    const body: z.output<typeof idscanAccessError> = { Message: message }
    reply.header('cache-control', 'no-store')
    return reply.code(status).header('content-type', CONTENT_TYPE).send(JSON.stringify(body))
  }
}

function auditRefusal({ reason, details }: Refusal, request: FastifyRequest, audit: AuditLog): void {
  audit.refused({
    contract: 'idscan',
    reason,
    account: details.account,
    operation: details.operation,
    tokenId: details.tokenId,
    parameters: details.parameters,
    cause: details.cause,
    ...requestFields(request),
  })
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof StoreUnavailableError) return storeUnavailableRefusal(error)
  if (error instanceof PasswordQueueFullError) return new Refusal('overloaded', { retryAfter: OVERLOAD_PAUSE })
  const { code = '', statusCode } = error as { code?: string; statusCode?: number }
  if (statusCode === 413) return new Refusal('body_too_large')
  // Whatever else Fastify finds wrong with a body: it is not the form that it has to be (I3).
  if (code.startsWith('FST_ERR_CTP_')) return new Refusal('unsupported_grant_type')
  // Broken off, or not as long as it was announced.
  if (statusCode === 400) return new Refusal('bad_body')
  return new Refusal('internal_error')
}
