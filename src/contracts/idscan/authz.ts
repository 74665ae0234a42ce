import type { FastifyPluginAsync } from 'fastify'
import { createErrorHandler } from '../../http/error-handler.ts'
import { serveGatewayCheck } from '../gateway-check.ts'
import { createIdscanCheck } from './check.ts'
import { accessRefusals } from './errors.ts'
import type { IdscanOptions } from './options.ts'
import { areaParams } from './schema.ts'

/** Checks tokens for gateways (I28 to I33). */
export const authzRoutes: FastifyPluginAsync<IdscanOptions> = async (app, { tokens, issuer, audit }) => {
  const check = createIdscanCheck({ tokens, clock: issuer.clock, audit })
  app.setErrorHandler(createErrorHandler(accessRefusals, audit))
  serveGatewayCheck(app, '/authz/idscan/:area', areaParams, async (request, params) => {
    const { jti, sub, name, role, area, tenant } = await check(request, params.area)
    return {
      'x-trimint-token-id': jti,
      'x-trimint-subject': sub,
      'x-trimint-name': name,
      'x-trimint-role': role,
      'x-trimint-area': area,
      'x-trimint-tenant': tenant,
    }
  })
}
