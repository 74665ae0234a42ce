import type { FastifyPluginAsync } from 'fastify'
import { Registry } from 'prom-client'

export interface MetricsRoutesOptions {
  /** Returns all metrics in Prometheus' text format. */
  readonly render: () => Promise<string>
}

/** Serves `GET /metrics`, in Prometheus' text format. */
export const metricsRoutes: FastifyPluginAsync<MetricsRoutesOptions> = async (app, { render }) => {
  app.get('/metrics', async (_request, reply) => {
    reply.header('content-type', Registry.PROMETHEUS_CONTENT_TYPE).header('cache-control', 'no-store')
    return render()
  })
}
