import type { FastifyPluginAsync } from 'fastify'
import { replyNotFound } from './errors.ts'

interface LandingOptions {
  /** Relative, so that a path prefix of a proxy is kept. */
  readonly page: string
}

/** `GET /`: leads a browser to a page (L25). Other clients get 404, as for every path without a route. */
export const landingRoutes: FastifyPluginAsync<LandingOptions> = async (app, { page }) => {
  app.get('/', async (request, reply) => {
    if (!request.headers.accept?.includes('text/html')) return replyNotFound(request, reply)
    return reply.header('cache-control', 'no-store').redirect(page)
  })
}
