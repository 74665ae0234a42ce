import type { FastifyPluginAsync } from 'fastify'
import { createService } from './create.ts'
import type { NevisfidoOptions } from './options.ts'
import { redeemService } from './redeem.ts'
import { statusService } from './status.ts'

/**
 * Serves nevisFIDO's Create Token Service, and the services that redeem tokens and return the status of sessions.
 *
 * @see docs/contracts/nevisfido.md
 */
export const nevisfidoRoutes: FastifyPluginAsync<NevisfidoOptions> = async (app, options) => {
  await app.register(createService, options)
  await app.register(redeemService, options)
  await app.register(statusService, options)
}
