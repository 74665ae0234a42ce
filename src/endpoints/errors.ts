import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { createErrorHandler, type RefusalTable } from '../http/error-handler.ts'

/** Every error outside the contracts (RFC 6749 section 5.2). */
export const serviceError = z.object({ error: z.string(), error_description: z.string() })

/** The same bytes for every unauthenticated caller (RFC 6749 section 5.2). */
const INVALID_CLIENT = [401, 'invalid_client', 'The id or the secret of the resource server is wrong.'] as const

export const serviceRefusals: RefusalTable<[error: string, description: string]> = {
  contract: 'service',
  replies: {
    method_not_allowed: [405, 'invalid_request', 'Only POST is supported.'],
    missing_authorization: INVALID_CLIENT,
    malformed_authorization: INVALID_CLIENT,
    unknown_resource_server: INVALID_CLIENT,
    bad_secret: INVALID_CLIENT,
    bad_parameter: [400, 'invalid_request', 'The body must be a form with one token, each parameter once.'],
    bad_body: [400, 'invalid_request', 'The request cannot be read.'],
    body_too_large: [413, 'invalid_request', 'The request is too large.'],
    blocked: [429, 'temporarily_unavailable', 'Too many failed attempts. Try again later.'],
    overloaded: [503, 'temporarily_unavailable', 'Too many requests at once. Try again later.'],
    store_unavailable: [503, 'temporarily_unavailable', 'The store is unavailable. Try again later.'],
    internal_error: [500, 'server_error', 'An internal error. The log has the cause.'],
  },
  body: ([error, description], message = description): z.output<typeof serviceError> => ({
    error,
    error_description: message,
  }),
  contentType: 'application/json; charset=utf-8',
  challenge: 'Basic realm="Trimint", charset="UTF-8"',
  allow: 'POST',
  retryAfter: true,
}

/** Handles the errors of routes outside the contracts that are not audited, and of requests without a route. */
export const replyWithServiceError = createErrorHandler(serviceRefusals)

export function replyNotFound(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const body: z.output<typeof serviceError> = {
    error: 'not_found',
    error_description: 'There is nothing at this path.',
  }
  return reply.code(404).header('cache-control', 'no-store').send(body)
}
