import type { ZodOpenApiPathsObject, ZodOpenApiResponsesObject } from 'zod-openapi'
import { serviceError } from '../src/endpoints/errors.ts'
import { health, readiness } from '../src/endpoints/health.ts'
import { noStore, requestId } from './headers.ts'

const others: ZodOpenApiResponsesObject = {
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
}

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
        ...others,
      },
    },
  },
  '/readyz': {
    get: {
      tags: ['Service'],
      operationId: 'readiness',
      summary: 'Whether requests should be sent here',
      description:
        'For load balancers and rolling restarts. `draining`: it is about to end. `store_unavailable`: it cannot say which tokens are good.',
      security: [],
      responses: {
        200: {
          description: 'Ready.',
          headers: { ...requestId, ...noStore },
          content: { 'application/json': { schema: readiness, example: { status: 'ready' } } },
        },
        503: {
          description: 'Not now; the reasons say why.',
          headers: { ...requestId, ...noStore },
          content: {
            'application/json': { schema: readiness, example: { status: 'not_ready', reasons: ['draining'] } },
          },
        },
        ...others,
      },
    },
  },
  '/metrics': {
    get: {
      tags: ['Service'],
      operationId: 'metrics',
      summary: 'What is counted and measured, for Prometheus',
      description: 'On a port of its own where METRICS_PORT is set.',
      security: [],
      responses: {
        200: {
          description: 'Prometheus’s text format.',
          headers: { ...requestId, ...noStore },
          content: {
            'text/plain; version=0.0.4; charset=utf-8': {
              schema: { type: 'string' },
              example: 'trimint_tokens_issued_total{contract="bws"} 42\n',
            },
          },
        },
        ...others,
      },
    },
  },
}
