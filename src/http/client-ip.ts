import type { FastifyRequest } from 'fastify'

/**
 * The address of a caller, as `trustProxy` makes it out; undefined of one who has gone. Fastify's `request.ip` is the same: where no
 * proxy has put down an address, it comes to the connection's by a longer way.
 */
export function clientIp(request: FastifyRequest): string | undefined {
  return request.headers['x-forwarded-for'] === undefined ? request.socket.remoteAddress : request.ip
}
