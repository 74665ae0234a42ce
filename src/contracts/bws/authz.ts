import type { FastifyPluginAsync } from 'fastify'
import { createErrorHandler } from '../../http/error-handler.ts'
import { serveGatewayCheck } from '../gateway-check.ts'
import { createBwsCheck } from './check.ts'
import { accessRefusals } from './errors.ts'
import type { BwsOptions } from './options.ts'
import { operationParams } from './schema.ts'

/** Checks tokens for gateways (B32 to B35). */
export const authzRoutes: FastifyPluginAsync<BwsOptions> = async (app, { tokens, issuer, audit }) => {
  const check = createBwsCheck({ tokens, clock: issuer.clock, audit })
  app.setErrorHandler(createErrorHandler(accessRefusals, audit))
  serveGatewayCheck(app, '/authz/bws/:operation', operationParams, async (request, { operation }) => {
    const { token, triesLeft } = await check(request, operation)
    return {
      'x-trimint-token-id': token.tokenId,
      'x-trimint-subject': token.app,
      'x-trimint-client': token.client,
      'x-trimint-bcid': token.bcid,
      'x-trimint-task': token.options.task,
      'x-trimint-tries-left': triesLeft,
    }
  })
}
