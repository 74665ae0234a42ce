import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { type Audit, requestFields } from '../../audit.ts'
import type { IdscanTokens } from '../../core/idscan/tokens.ts'
import type { IdscanClaims } from '../../core/idscan/verify.ts'
import { Refusal } from '../../refusal.ts'
import { identityHeaders } from '../identity.ts'
import { createAccessErrorHandler } from './errors.ts'
import { areaParams } from './schema.ts'

export interface IdscanAuthzOptions {
  readonly tokens: IdscanTokens
  readonly audit: Audit
}

/**
 * What a gateway asks before it lets a request through to the vendor's other APIs (I28 to I33). Every method is answered alike, since
 * some gateways ask with the method of the request that they hold; bodies are never read.
 *
 * @see docs/gateways.md
 */
export const idscanAuthzRoutes: FastifyPluginAsync<IdscanAuthzOptions> = async (app, { tokens, audit }) => {
  app.setErrorHandler(createAccessErrorHandler(audit))
  const check = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const params = areaParams.safeParse(request.params)
    if (!params.success) {
      reply.callNotFound()
      return reply
    }
    const { area } = params.data
    reply.header('cache-control', 'no-store')
    const jws = readCredential(request.headers)
    if (jws === undefined) throw new Refusal('missing_authorization', { operation: area })

    const checked = await tokens.check(jws, area)
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
    return reply.headers(toIdentity(claims)).send()
  }
  // In a hook, so that it comes before any look at a body.
  app.route({
    method: app.supportedMethods,
    url: '/authz/idscan/:area',
    exposeHeadRoute: false,
    onRequest: check,
    handler: check,
  })
}

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
