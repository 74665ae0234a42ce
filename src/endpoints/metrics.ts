import type { FastifyPluginAsync } from 'fastify'
import type { Metrics } from '../observability/metrics.ts'

/** `GET /metrics`, in Prometheus's text format. */
export const metricsRoutes: FastifyPluginAsync<Pick<Metrics, 'registry'>> = async (app, { registry }) => {
  app.get('/metrics', async (_request, reply) => {
    reply.header('content-type', registry.contentType).header('cache-control', 'no-store')
    return registry.metrics()
  })
}
