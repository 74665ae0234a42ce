import type { ZodOpenApiHeadersObject } from 'zod-openapi'

/** Part of every reply to a readable request. */
export const requestId: ZodOpenApiHeadersObject = {
  'X-Request-Id': {
    description: 'The X-Request-Id of the request where it is acceptable, a new id otherwise.',
    schema: { type: 'string', minLength: 1, maxLength: 128 },
  },
}

export const noStore: ZodOpenApiHeadersObject = { 'Cache-Control': { schema: { const: 'no-store' } } }

export const retryAfter: ZodOpenApiHeadersObject = {
  'Retry-After': { description: 'Seconds (RFC 9110).', schema: { type: 'integer', minimum: 1 } },
}
