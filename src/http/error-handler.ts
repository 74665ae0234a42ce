import type { FastifyReply, FastifyRequest } from 'fastify'
import { StoreUnavailableError } from '../core/availability.ts'
import { NoSigningKeyError } from '../core/crypto/keyring.ts'
import { PasswordQueueFullError } from '../core/crypto/passwords.ts'
import { AnonymousLimitError } from '../core/fido/issue.ts'
import { type AuditLog, type Decision, requestFields } from '../observability/audit-log.ts'
import { OVERLOAD_RETRY_AFTER_MS, Refusal, type RefusalReason, storeUnavailableRefusal } from './refusal.ts'

/** A contract's replies to refused requests. */
export interface RefusalTable<Words extends readonly unknown[]> {
  readonly contract: Decision['contract']
  /** HTTP status and the words of the body for each reason. A reason without an entry looks like `internal_error`. */
  readonly replies: Partial<Readonly<Record<RefusalReason, readonly [status: number, ...Words]>>> &
    Readonly<Record<'internal_error', readonly [status: number, ...Words]>>
  /** Returns the body, or undefined for a reply without one. */
  readonly body: (words: Words, message: string | undefined) => unknown
  readonly contentType: string
  /** The `Allow` header of a 405. */
  readonly allow?: string
  /** The `WWW-Authenticate` header of a 401. */
  readonly challenge?: string
  /** Whether replies carry `Retry-After` where a later attempt can succeed. */
  readonly retryAfter: boolean
  /** Reasons for the HTTP statuses of Fastify's own errors, where they differ from {@link BODY_REASONS}. */
  readonly bodyReasons?: Readonly<Record<number, RefusalReason>>
}

/** A broken or truncated body, one that is too large, and one whose Content-Type is unreadable. */
const BODY_REASONS: Readonly<Record<number, RefusalReason>> = {
  400: 'bad_body',
  413: 'body_too_large',
  415: 'bad_body',
}

/**
 * Returns the Fastify error handler of a contract: audits the refusal and renders it by the contract's table.
 *
 * @param audit undefined for routes outside the audit log.
 */
export function createErrorHandler<Words extends readonly unknown[]>(table: RefusalTable<Words>, audit?: AuditLog) {
  const bodyReasons = { ...BODY_REASONS, ...table.bodyReasons }
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { code, details } = toRefusal(error, request, bodyReasons)
    const { message, retryAfterMs, explain, ...audited } = details
    if (code === 'internal_error') request.log.error({ err: error, requestId: request.id }, 'unexpected error')
    audit?.refused({ contract: table.contract, reason: code, ...audited, ...requestFields(request) }, explain)

    const [status, ...words] = table.replies[code] ?? table.replies.internal_error
    reply.code(status)
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    if (status === 401 && table.challenge !== undefined) reply.header('www-authenticate', table.challenge)
    if (status === 405 && table.allow !== undefined) reply.header('allow', table.allow)
    if (retryAfterMs !== undefined && table.retryAfter) reply.header('retry-after', toRetryAfter(retryAfterMs))
    const body = table.body(words as unknown as Words, message)
    if (body === undefined) return reply.send()
    // With a serializer, since Fastify otherwise appends a charset to the media type.
    return reply.header('content-type', table.contentType).serializer(JSON.stringify).send(body)
  }
}

function toRefusal(error: unknown, request: FastifyRequest, bodyReasons: typeof BODY_REASONS): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof StoreUnavailableError) return storeUnavailableRefusal(error)
  if (error instanceof AnonymousLimitError) {
    return new Refusal('overloaded', { cause: error.message, retryAfterMs: OVERLOAD_RETRY_AFTER_MS })
  }
  if (error instanceof NoSigningKeyError) return new Refusal('no_signing_key')
  if (error instanceof PasswordQueueFullError) {
    return new Refusal('overloaded', { retryAfterMs: OVERLOAD_RETRY_AFTER_MS })
  }
  const { code, statusCode = 500 } = error as { code?: unknown; statusCode?: number }
  if (code === 'FST_BASIC_AUTH_MISSING_OR_BAD_AUTHORIZATION_HEADER') {
    return new Refusal(request.headers.authorization ? 'malformed_authorization' : 'missing_authorization')
  }
  return new Refusal(bodyReasons[statusCode] ?? 'internal_error')
}

/** Returns whole seconds, at least one (RFC 9110 section 10.2.3). */
function toRetryAfter(milliseconds: number): string {
  return String(Math.max(1, Math.ceil(milliseconds / 1000)))
}
