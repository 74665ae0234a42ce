import type { FastifyPluginAsync } from 'fastify'
import type { Lifecycle } from '../core/lifecycle.ts'
import { requestFields } from '../observability/audit-log.ts'
import type { ResourceServerOptions } from './resource-servers.ts'
import { serveTokenRequests } from './token-requests.ts'

export interface RevocationOptions extends ResourceServerOptions {
  readonly lifecycle: Lifecycle
}

/** Serves `POST /revoke`, which revokes a token of any contract for resource servers (RFC 7009). */
export const revocationRoutes: FastifyPluginAsync<RevocationOptions> = async (app, options) => {
  const { lifecycle, audit } = options
  await serveTokenRequests(app, '/revoke', options, async ({ token, ...caller }, request, reply) => {
    const revoked = await lifecycle.revoke(token)
    if (revoked) audit.revoked({ ...requestFields(request), ...revoked, ...caller })
    // The same for an unknown token (RFC 7009 section 2.2).
    return reply.send()
  })
}
