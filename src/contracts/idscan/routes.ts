import type { FastifyPluginAsync } from 'fastify'
import { authzRoutes } from './authz.ts'
import type { IdscanOptions } from './options.ts'
import { tokenRoutes } from './token.ts'

/**
 * Serves GBG IDscan Enterprise's token authentication, and the check of its tokens for gateways.
 *
 * @see docs/contracts/idscan.md
 */
export const idscanRoutes: FastifyPluginAsync<IdscanOptions> = async (app, options) => {
  await app.register(tokenRoutes, options)
  await app.register(authzRoutes, options)
}
