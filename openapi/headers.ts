import type { ZodOpenApiHeadersObject } from 'zod-openapi'

/** On every reply. */
export const requestId: ZodOpenApiHeadersObject = {
  'X-Request-Id': {
    description: 'The id that the caller sent in X-Request-Id where it is acceptable, a new one otherwise.',
    schema: { type: 'string', minLength: 1, maxLength: 128 },
  },
}

export const noStore: ZodOpenApiHeadersObject = { 'Cache-Control': { schema: { const: 'no-store' } } }
