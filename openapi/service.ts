import type { ZodOpenApiPathsObject } from 'zod-openapi'
import { serviceError } from '../src/service/errors.ts'
import { health } from '../src/service/health.ts'
import { noStore, requestId } from './headers.ts'

export const servicePaths: ZodOpenApiPathsObject = {
  '/healthz': {
    get: {
      tags: ['Service'],
      operationId: 'health',
      summary: 'Whether the process is alive',
      description: 'Touches nothing else: a store that is away does not make it fail.',
      security: [],
      responses: {
        200: {
          description: 'Alive.',
          headers: { ...requestId, ...noStore },
          content: { 'application/json': { schema: health, example: { status: 'ok' } } },
        },
        default: {
          description: 'What every path outside the contracts answers with when it refuses.',
          headers: requestId,
          content: {
            'application/json': {
              schema: serviceError,
              example: { error: 'not_found', error_description: 'There is nothing at this path.' },
            },
          },
        },
      },
    },
  },
}
