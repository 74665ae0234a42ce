import Fastify from 'fastify'
import { replyNotFound } from '../endpoints/errors.ts'
import { metricsRoutes } from '../endpoints/metrics.ts'
import { type ConnectionLimits, createListener } from '../http/listener.ts'

/** Creates a server for metrics. It serves through reloads, and during a shutdown until requests have been answered. */
export async function createMetricsServer(render: () => Promise<string>, limits: ConnectionLimits) {
  const app = Fastify()
  await app.register(metricsRoutes, { render })
  app.setNotFoundHandler(replyNotFound)
  await app.ready()
  const listener = createListener(undefined, limits)
  listener.serve(app)
  return {
    listener,
    async close() {
      await listener.abort()
      await app.close()
    },
  }
}
