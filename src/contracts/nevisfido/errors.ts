import type { FastifyReply, FastifyRequest } from 'fastify'
import { StoreUnavailableError } from '../../core/availability.ts'
import { Refusal, storeUnavailableRefusal } from '../../http/refusal.ts'
import { type AuditLog, type RefusalReason, requestFields } from '../../observability/audit-log.ts'

/** FIDO UAF status codes, as the contract page gives them to each reason. */
const STATUS_CODES: Partial<Readonly<Record<RefusalReason, number>>> = {
  bad_body: 1400,
  missing_authorization: 1401,
  malformed_authorization: 1401,
  unknown_client: 1401,
  bad_secret: 1401,
  bad_bearer: 1401,
  blocked: 1401,
  user_not_allowed: 1403,
  unknown_user: 1403,
  unknown_token: 1404,
  token_expired: 1408,
  token_spent: 1491,
  bad_contents: 1498,
  wrong_operation: 1498,
}

/** The few that are HTTP's own; none has a body. */
const HTTP_STATUSES: Partial<Readonly<Record<RefusalReason, number>>> = {
  method_not_allowed: 405,
  not_acceptable: 406,
  unsupported_media_type: 415,
}

/** Create and redeem say everything with HTTP 200 (N13); status has codes of its own (N26). */
export type HttpStatusOf = (statusCode: number) => number

export const alwaysOk: HttpStatusOf = () => 200
export const statusServiceCode: HttpStatusOf = (statusCode) => (statusCode === 1500 ? 503 : 400)

/** The one place where an error of this contract becomes a reply. */
export function createErrorHandler(audit: AuditLog, httpStatusOf: HttpStatusOf) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { reason, details } = toRefusal(error)
    if (reason === 'internal_error') request.log.error({ err: error, requestId: request.id }, 'unexpected error')
    audit.refused({
      contract: 'nevisfido',
      reason,
      client: details.client,
      operation: details.operation,
      cause: details.cause,
      ...requestFields(request),
    })
    reply.header('cache-control', 'no-store')
    const httpStatus = HTTP_STATUSES[reason]
    if (httpStatus === 405) reply.header('allow', 'POST')
    if (httpStatus !== undefined) return reply.code(httpStatus).send()
    const statusCode = STATUS_CODES[reason] ?? 1500
    return setJson(reply.code(httpStatusOf(statusCode))).send({ statusCode })
  }
}

/** `application/json` exactly: with a serializer of its own, since Fastify puts a charset behind the type otherwise (N14). */
export function setJson(reply: FastifyReply, mediaType = 'application/json'): FastifyReply {
  return reply.header('content-type', mediaType).header('cache-control', 'no-store').serializer(JSON.stringify)
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof StoreUnavailableError) return storeUnavailableRefusal(error)
  const { code = '', statusCode } = error as { code?: string; statusCode?: number }
  if (code === 'FST_BASIC_AUTH_MISSING_OR_BAD_AUTHORIZATION_HEADER') return new Refusal('malformed_authorization')
  if (statusCode === 415) return new Refusal('unsupported_media_type')
  // A body that is too large, or shorter or longer than it was announced.
  if (statusCode === 413 || statusCode === 400) return new Refusal('bad_body')
  return new Refusal('internal_error')
}
