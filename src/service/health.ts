import type { FastifyPluginAsync } from 'fastify'
import { z } from 'zod'

export const health = z.object({ status: z.literal('ok') })

const ALIVE: z.output<typeof health> = { status: 'ok' }

/** `GET /healthz`: alive. Touches nothing else, so that a store that is away never gets a healthy process killed. */
export const healthRoutes: FastifyPluginAsync = async (app) => {
  app.get('/healthz', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return ALIVE
  })
}
