import type { FastifyRequest } from 'fastify'

/**
 * Returns the caller's address according to `trustProxy`, or undefined where the caller has disconnected. Without
 * `X-Forwarded-For`, this is the connection's address, which Fastify's `request.ip` finds in a slower way.
 */
export function clientIp(request: FastifyRequest): string | undefined {
  return request.headers['x-forwarded-for'] === undefined ? request.socket.remoteAddress : request.ip
}
