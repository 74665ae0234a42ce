import type { ZodOpenApiHeadersObject } from 'zod-openapi'

/** On every reply to a request that could be read. */
export const requestId: ZodOpenApiHeadersObject = {
  'X-Request-Id': {
    description: 'The id that the caller sent in X-Request-Id where it is acceptable, a new one otherwise.',
    schema: { type: 'string', minLength: 1, maxLength: 128 },
  },
}

export const noStore: ZodOpenApiHeadersObject = { 'Cache-Control': { schema: { const: 'no-store' } } }

export const retryAfter: ZodOpenApiHeadersObject = {
  'Retry-After': { description: 'Seconds (RFC 9110).', schema: { type: 'integer', minimum: 1 } },
}
