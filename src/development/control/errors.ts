import type { FastifyReply, FastifyRequest } from 'fastify'
import { StoreUnavailableError } from '../../core/availability.ts'
import { explainRefusal } from '../../observability/reasons.ts'

/** A refused request to the control API, or a refused call of the same API in process. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
  readonly code = 'ERR_TRIMINT_CONTROL'
  readonly status: number
  /** As in the body of the reply. */
  readonly error: string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, error: string, description: string, headers: Readonly<Record<string, string>> = {}) {
    super(description)
    this.status = status
    this.error = error
    this.headers = headers
  }
}

/** Replies with `{"error","error_description"}` (L2). */
export function replyWithControlError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, headers, error: code, message } = toControlError(error, request)
  return reply.code(status).headers(headers).send({ error: code, error_description: message })
}

function toControlError(error: unknown, request: FastifyRequest): ControlError {
  if (error instanceof ControlError) return error
  if (error instanceof StoreUnavailableError) {
    return new ControlError(503, 'temporarily_unavailable', explainRefusal('store_unavailable'))
  }
  const { statusCode = 500, code } = error as { statusCode?: number; code?: unknown }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new ControlError(415, 'invalid_request', 'wrong Content-Type; expected application/json')
  }
  if (statusCode < 500) return new ControlError(statusCode, 'invalid_request', (error as Error).message)
  request.log.error({ err: error, requestId: request.id }, 'unexpected error')
  return new ControlError(500, 'server_error', `unexpected error: ${(error as Error).message}`)
}
