import type { FastifyPluginAsync } from 'fastify'
import { createService } from './create.ts'
import type { NevisfidoOptions } from './options.ts'
import { redeemService } from './redeem.ts'
import { statusService } from './status.ts'
import { createTokenRequests } from './token-request.ts'
import { facetsService } from './uaf/facets.ts'
import { requestService } from './uaf/request.ts'
import { responseService } from './uaf/response.ts'

/**
 * Serves nevisFIDO's Create Token Service, the services that redeem tokens and return the status of sessions, and those
 * of FIDO UAF clients.
 *
 * @see docs/contracts/nevisfido.md, docs/contracts/uaf.md
 */
export const nevisfidoRoutes: FastifyPluginAsync<NevisfidoOptions> = async (app, options) => {
  await app.register(async (scope) => {
    const requests = await createTokenRequests(scope, options)
    await scope.register(createService, { ...options, requests })
    await scope.register(requestService, { ...options, requests })
  })
  await app.register(redeemService, options)
  await app.register(statusService, options)
  await app.register(responseService, { ...options, operation: 'registration' })
  await app.register(responseService, { ...options, operation: 'authentication' })
  await app.register(facetsService, options)
}
