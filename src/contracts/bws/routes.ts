import type { FastifyPluginAsync } from 'fastify'
import { authzRoutes } from './authz.ts'
import type { BwsOptions } from './options.ts'
import { tokenRoutes } from './token.ts'

/**
 * Serves BioID's BWS Token Web API, and the check of its tokens for gateways.
 *
 * @see docs/contracts/bws.md
 */
export const bwsRoutes: FastifyPluginAsync<BwsOptions> = async (app, options) => {
  await app.register(tokenRoutes, options)
  await app.register(authzRoutes, options)
}
