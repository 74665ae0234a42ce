import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { IdscanArea } from '../../core/idscan/account.ts'
import type { IdscanClaims } from '../../core/idscan/verify.ts'
import { createErrorHandler } from '../../http/error-handler.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { type Identity, serveGatewayCheck } from '../gateway-check.ts'
import { accessRefusals } from './errors.ts'
import { explainCheck } from './explanations.ts'
import type { IdscanOptions } from './options.ts'
import { areaParams } from './schema.ts'

/** Checks tokens for gateways (I28 to I33). */
export const authzRoutes: FastifyPluginAsync<IdscanOptions> = async (app, { tokens, issuer, audit }) => {
  app.setErrorHandler(createErrorHandler(accessRefusals, audit))
  serveGatewayCheck(app, '/authz/idscan/:area', areaParams, check)

  async function check(request: FastifyRequest, { area: operation }: z.output<typeof areaParams>): Promise<Identity> {
    const candidates = readTokens(request.headers)
    if (candidates.length === 0) throw new Refusal('missing_authorization', { operation })
    const claims = await checkAny(candidates, operation)
    const { jti, sub, name, role, area, tenant } = claims
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

  /**
   * Returns the claims of the first token that is accepted.
   *
   * @throws Refusal of the first token that Trimint signed, or else of the first.
   */
  async function checkAny(candidates: readonly string[], operation: IdscanArea): Promise<IdscanClaims> {
    const refusals: Refusal[] = []
    for (const jws of candidates) {
      const checked = await tokens.check(jws, operation)
      if (!('refused' in checked)) return checked.claims
      const claims = 'claims' in checked ? checked.claims : undefined
      const { refused } = checked
      const explain = () =>
        claims ? explainCheck(refused, claims, operation, issuer.clock()) : tokens.explainInvalid(jws)
      refusals.push(new Refusal(refused, { operation, account: claims?.sub, tokenId: claims?.jti, explain }))
    }
    throw refusals.find(({ details }) => details.tokenId !== undefined) ?? refusals[0]
  }
}

/** Each candidate costs a signature check. Browsers send one cookie for each domain and path that set it. */
const MAX_COOKIES = 10

/**
 * Returns the header, with or without a scheme (I28, I29); else every cookie `token` and every cookie without a name. A
 * cookie precedes Basic, which is meant for another server.
 */
function readTokens({ authorization = '', cookie = '' }: IncomingHttpHeaders): readonly string[] {
  const credential = authorization.trim()
  const header = credential === '' ? [] : [credential.replace(/^Bearer +/i, '')]
  if (header.length > 0 && !/^Basic /i.test(credential)) return header
  const pairs = cookie.split(';').map((pair) => pair.trim())
  const named = pairs.filter((pair) => /^token *=/.test(pair)).map((pair) => pair.slice(pair.indexOf('=') + 1).trim())
  const unnamed = pairs.filter((pair) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(pair))
  const cookies = [...named.filter((value) => value !== ''), ...unnamed].slice(0, MAX_COOKIES)
  return cookies.length > 0 ? cookies : header
}
