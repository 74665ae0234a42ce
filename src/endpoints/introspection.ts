import type { FastifyPluginAsync } from 'fastify'
import type { Inspection, Lifecycle } from '../core/lifecycle.ts'
import { requestFields } from '../observability/audit-log.ts'
import { type Origin, toIntrospection } from './introspection-reply.ts'
import type { ResourceServerOptions } from './resource-servers.ts'
import { serveTokenRequests } from './token-requests.ts'

export interface IntrospectionOptions extends ResourceServerOptions {
  readonly lifecycle: Lifecycle
  readonly origin: Origin
}

/** Serves `POST /introspect`, which describes a token of any contract to resource servers (RFC 7662). */
export const introspectionRoutes: FastifyPluginAsync<IntrospectionOptions> = async (app, options) => {
  const { lifecycle, origin, audit } = options
  await serveTokenRequests(app, '/introspect', options, async ({ token, ...caller }, request) => {
    const inspection = await lifecycle.inspect(token)
    if (inspection) audit.introspected({ ...requestFields(request), ...nameToken(inspection), ...caller })
    return toIntrospection(inspection, origin)
  })
}

/** Returns the token's id in the audit log. */
function nameToken(inspection: Inspection) {
  const { contract } = inspection
  switch (contract) {
    case 'bws':
      return { contract, tokenId: inspection.token.tokenId }
    case 'idscan':
      return { contract, tokenId: inspection.claims.jti }
    case 'nevisfido':
      return { contract, tokenId: inspection.record.tokenDigest }
  }
}
