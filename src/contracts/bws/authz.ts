import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { createErrorHandler } from '../../http/error-handler.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { type Identity, serveGatewayCheck } from '../gateway-check.ts'
import { accessRefusals } from './errors.ts'
import { explainCheck } from './explanations.ts'
import type { BwsOptions } from './options.ts'
import { operationParams } from './schema.ts'

/** Checks tokens for gateways (B32 to B35). */
export const authzRoutes: FastifyPluginAsync<BwsOptions> = async (app, { tokens, issuer, audit }) => {
  app.setErrorHandler(createErrorHandler(accessRefusals, audit))
  serveGatewayCheck(app, '/authz/bws/:operation', operationParams, check)

  async function check(request: FastifyRequest, { operation }: z.output<typeof operationParams>): Promise<Identity> {
    const { authorization } = request.headers
    if (!authorization) throw new Refusal('missing_authorization', { operation })
    const jws = readToken(authorization)
    if (jws === undefined) throw new Refusal('malformed_authorization', { operation })
    const checked = await tokens.check(jws, operation)
    const token = 'token' in checked ? checked.token : undefined
    if ('refused' in checked) {
      const { refused } = checked
      const explain = () =>
        token ? explainCheck(refused, token, operation, issuer.clock()) : tokens.explainInvalid(jws)
      throw new Refusal(refused, { operation, app: token?.app, tokenId: token?.tokenId, explain })
    }
    const { tokenId, app, client, bcid, options } = checked.token
    const { triesLeft } = checked
    audit.checked({ contract: 'bws', app, operation, tokenId, triesLeft, ...requestFields(request) })
    return {
      'x-trimint-token-id': tokenId,
      'x-trimint-subject': app,
      'x-trimint-client': client,
      'x-trimint-bcid': bcid,
      'x-trimint-task': options.task,
      'x-trimint-tries-left': triesLeft,
    }
  }
}

/** `Authorization: Bearer <token>` or `Authorization: JWT <token>` (B32). */
function readToken(authorization: string): string | undefined {
  return /^(?:Bearer|JWT) +([\w.-]+) *$/i.exec(authorization)?.[1]
}
