import type { ZodOpenApiPathsObject, ZodOpenApiResponsesObject } from 'zod-openapi'
import { serviceError } from '../src/endpoints/errors.ts'
import { health, readiness } from '../src/endpoints/health.ts'
import { noStore, requestId } from './headers.ts'

const refusals: ZodOpenApiResponsesObject = {
  default: {
    description: 'Every refusal outside the contracts.',
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
      summary: 'Liveness',
      description: 'Depends on nothing else: an unavailable store does not make it fail.',
      security: [],
      responses: {
        200: {
          description: 'The process is alive.',
          headers: { ...requestId, ...noStore },
          content: { 'application/json': { schema: health, example: { status: 'ok' } } },
        },
        ...refusals,
      },
    },
  },
  '/readyz': {
    get: {
      tags: ['Service'],
      operationId: 'readiness',
      summary: 'Readiness',
      description:
        'For load balancers and rolling restarts. `draining`: the process is shutting down. `store_unavailable`: it cannot tell which tokens are valid. `store_moved`: its SQLite file has been moved, deleted or replaced, so a restart would lose what is written now. `no_signing_key`: every key has expired. `serving` lists the contracts that still issue tokens: BWS and IDscan need a key, nevisFIDO the store.',
      security: [],
      responses: {
        200: {
          description: 'The process accepts requests.',
          headers: { ...requestId, ...noStore },
          content: { 'application/json': { schema: readiness, example: { status: 'ready' } } },
        },
        503: {
          description: 'The process should get no requests, for the given reasons.',
          headers: { ...requestId, ...noStore },
          content: {
            'application/json': {
              schema: readiness,
              example: { status: 'not_ready', reasons: ['store_unavailable'], serving: ['bws', 'idscan'] },
            },
          },
        },
        ...refusals,
      },
    },
  },
  '/metrics': {
    get: {
      tags: ['Service'],
      operationId: 'metrics',
      summary: 'Metrics for Prometheus',
      description:
        'Served on a separate port where METRICS_PORT is set. Rendered at most once a second. Refused with 503 while the process is overloaded, except on that port.',
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
        ...refusals,
      },
    },
  },
}
