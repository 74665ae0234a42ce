import type { FastifyReply, FastifyRequest } from 'fastify'

const PREFLIGHT_MAX_AGE_SECONDS = '600'

/** Lets pages of the configured origins read every reply, also errors (I27). Other origins get no CORS header. */
export function allowOrigin(origins: ReadonlySet<string>, request: FastifyRequest, reply: FastifyReply): void {
  if (origins.size > 0) reply.header('vary', 'Origin')
  const { origin } = request.headers
  if (origin === undefined || !origins.has(origin)) return
  reply.header('access-control-allow-origin', origin)
  if (request.method !== 'OPTIONS') return
  reply.header('access-control-allow-methods', 'POST').header('access-control-max-age', PREFLIGHT_MAX_AGE_SECONDS)
  const requestedHeaders = request.headers['access-control-request-headers']
  if (requestedHeaders !== undefined) reply.header('access-control-allow-headers', requestedHeaders)
}
