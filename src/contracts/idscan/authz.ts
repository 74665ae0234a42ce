import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { createErrorHandler } from '../../http/error-handler.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { type Identity, serveGatewayCheck } from '../gateway-check.ts'
import { accessRefusals } from './errors.ts'
import type { IdscanOptions } from './options.ts'
import { areaParams } from './schema.ts'

/** Checks tokens for gateways (I28 to I33). */
export const authzRoutes: FastifyPluginAsync<IdscanOptions> = async (app, { tokens, audit }) => {
  app.setErrorHandler(createErrorHandler(accessRefusals, audit))
  serveGatewayCheck(app, '/authz/idscan/:area', areaParams, check)

  async function check(request: FastifyRequest, params: z.output<typeof areaParams>): Promise<Identity> {
    const operation = params.area
    const jws = readToken(request.headers)
    if (jws === undefined) throw new Refusal('missing_authorization', { operation })
    const checked = await tokens.check(jws, params.area)
    if ('refused' in checked) {
      const claims = 'claims' in checked ? checked.claims : undefined
      throw new Refusal(checked.refused, { operation, account: claims?.sub, tokenId: claims?.jti })
    }
    const { jti, sub, name, role, area, tenant } = checked.claims
    audit.checked({ contract: 'idscan', account: sub, operation, tokenId: jti, ...requestFields(request) })
    return {
      'x-trimint-token-id': jti,
      'x-trimint-subject': sub,
      'x-trimint-name': name,
      'x-trimint-role': role,
      'x-trimint-area': area,
      'x-trimint-tenant': tenant,
    }
  }
}

/** The header, with or without a scheme (I28, I29); else the cookie `token`, or a cookie without a name. */
function readToken({ authorization = '', cookie = '' }: IncomingHttpHeaders): string | undefined {
  const credential = authorization.trim()
  if (credential !== '') return credential.replace(/^Bearer +/i, '')
  const cookies = cookie.split(';').map((pair) => pair.trim())
  const named = cookies.find((pair) => /^token *=/.test(pair))
  const value = named?.slice(named.indexOf('=') + 1).trim()
  return value || cookies.find((pair) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(pair))
}
