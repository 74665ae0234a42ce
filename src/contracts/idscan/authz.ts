import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { CheckedIdscanToken, IdscanTokens } from '../../core/idscan/tokens.ts'
import type { IdscanClaims } from '../../core/idscan/verify.ts'
import { Refusal } from '../../http/refusal.ts'
import { type AuditLog, requestFields } from '../../observability/audit-log.ts'
import { identityHeaders } from '../identity.ts'
import { createAccessErrorHandler } from './errors.ts'
import { areaParams } from './schema.ts'

export interface IdscanAuthzOptions {
  readonly tokens: IdscanTokens
  readonly audit: AuditLog
}

/**
 * What a gateway asks before it lets a request through to the vendor's other APIs (I28 to I33). Every method is answered alike, since
 * some gateways ask with the method of the request that they hold; bodies are never read.
 *
 * @see docs/gateways.md
 */
export const idscanAuthzRoutes: FastifyPluginAsync<IdscanAuthzOptions> = async (app, { tokens, audit }) => {
  app.setErrorHandler(createAccessErrorHandler(audit))
  // By callback, as a promise for each step would be a good part of what a check costs.
  const check = (request: FastifyRequest, reply: FastifyReply, done: (error: Error) => void): void => {
    const params = compiledParams.safeParse(request.params)
    if (!params.success) return void reply.callNotFound()
    const { area } = params.data
    reply.header('cache-control', 'no-store')
    const jws = readCredential(request.headers)
    if (jws === undefined) throw new Refusal('missing_authorization', { operation: area })

    const answer = (checked: CheckedIdscanToken): void => {
      if ('refused' in checked) {
        const claims = 'claims' in checked ? checked.claims : undefined
        throw new Refusal(checked.refused, { operation: area, account: claims?.sub, tokenId: claims?.jti })
      }
      const { claims } = checked
      audit.checked({
        contract: 'idscan',
        account: claims.sub,
        operation: area,
        tokenId: claims.jti,
        ...requestFields(request),
      })
      reply.headers(toIdentity(claims)).send()
    }
    const checked = tokens.check(jws, area)
    if (checked instanceof Promise) checked.then(answer).catch(done)
    else answer(checked)
  }
  // In a hook, so that it comes before any look at a body.
  app.route({
    method: app.supportedMethods,
    url: '/authz/idscan/:area',
    exposeHeadRoute: false,
    onRequest: check,
    // Nothing comes here: it has been answered.
    handler: (_request, reply) => reply,
  })
}

const compiledParams = z.compile(areaParams)

/** The header, with or without a scheme (I28, I29); else the cookie `token`, or one without a name. The header wins. */
function readCredential({ authorization = '', cookie = '' }: IncomingHttpHeaders): string | undefined {
  const given = authorization.trim()
  if (given !== '') return given.replace(/^Bearer +/i, '')
  const cookies = cookie.split(';').map((pair) => pair.trim())
  const named = cookies.find((pair) => /^token *=/.test(pair))
  const value = named?.slice(named.indexOf('=') + 1).trim()
  return value || cookies.find((pair) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(pair))
}

function toIdentity({ jti, sub, name, role, area, tenant }: IdscanClaims): Record<string, string> {
  return identityHeaders({
    'x-trimint-token-id': jti,
    'x-trimint-subject': sub,
    'x-trimint-name': name,
    'x-trimint-role': role,
    'x-trimint-area': area,
    'x-trimint-tenant': tenant,
  })
}
