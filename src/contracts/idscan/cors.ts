import type { FastifyReply, FastifyRequest } from 'fastify'

/** Seconds for which a browser need not ask again. */
const PREFLIGHT_LIFETIME = '600'

/** Lets pages of the configured origins read every reply, errors too (I27). For others there is no CORS header at all. */
export function allowOrigin(origins: ReadonlySet<string>, request: FastifyRequest, reply: FastifyReply): void {
  if (origins.size > 0) reply.header('vary', 'Origin')
  const { origin } = request.headers
  if (origin === undefined || !origins.has(origin)) return
  reply.header('access-control-allow-origin', origin)
  if (request.method !== 'OPTIONS') return
  reply.header('access-control-allow-methods', 'POST').header('access-control-max-age', PREFLIGHT_LIFETIME)
  const asked = request.headers['access-control-request-headers']
  if (asked !== undefined) reply.header('access-control-allow-headers', asked)
}
