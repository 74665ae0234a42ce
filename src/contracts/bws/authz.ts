import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { BwsTokens, CheckedBwsToken } from '../../core/bws/tokens.ts'
import type { BwsToken } from '../../core/bws/verify.ts'
import { Refusal } from '../../http/refusal.ts'
import { type AuditLog, requestFields } from '../../observability/audit-log.ts'
import { identityHeaders } from '../identity.ts'
import { createErrorHandler } from './errors.ts'
import { operationParams } from './schema.ts'

export interface BwsAuthzOptions {
  readonly tokens: BwsTokens
  readonly audit: AuditLog
}

/**
 * What a gateway asks before it lets a request through to the vendor's other APIs (B32 to B35). Every method is answered alike, since
 * some gateways ask with the method of the request that they hold; bodies are never read.
 *
 * @see docs/gateways.md
 */
export const bwsAuthzRoutes: FastifyPluginAsync<BwsAuthzOptions> = async (app, { tokens, audit }) => {
  app.setErrorHandler(createErrorHandler(audit, 'Bearer realm="BWS"'))
  // By callback, as a promise for each step would be a good part of what a check costs.
  const check = (request: FastifyRequest, reply: FastifyReply, done: (error: Error) => void): void => {
    const params = compiledParams.safeParse(request.params)
    if (!params.success) return void reply.callNotFound()
    const { operation } = params.data
    const { authorization } = request.headers
    if (!authorization) throw new Refusal('missing_authorization', { operation })
    const jws = readCredential(authorization)
    if (jws === undefined) throw new Refusal('malformed_authorization', { operation })

    const answer = (checked: CheckedBwsToken): void => {
      if ('refused' in checked) {
        const token = 'token' in checked ? checked.token : undefined
        throw new Refusal(checked.refused, { operation, app: token?.app, tokenId: token?.tokenId })
      }
      const { token, triesLeft } = checked
      audit.checked({
        contract: 'bws',
        app: token.app,
        operation,
        tokenId: token.tokenId,
        triesLeft,
        ...requestFields(request),
      })
      reply.headers(toIdentity(token, triesLeft)).header('cache-control', 'no-store').send()
    }
    const checked = tokens.check(jws, operation)
    if (checked instanceof Promise) checked.then(answer).catch(done)
    else answer(checked)
  }
  // In a hook, so that it comes before any look at a body.
  app.route({
    method: app.supportedMethods,
    url: '/authz/bws/:operation',
    exposeHeadRoute: false,
    onRequest: check,
    // Nothing comes here: it has been answered.
    handler: (_request, reply) => reply,
  })
}

const compiledParams = z.compile(operationParams)

/** `Authorization: Bearer <token>` or `Authorization: JWT <token>` (B32). */
function readCredential(authorization: string): string | undefined {
  return /^(?:Bearer|JWT) +([\w.-]+) *$/i.exec(authorization)?.[1]
}

function toIdentity(token: BwsToken, triesLeft: number | undefined): Record<string, string> {
  return identityHeaders({
    'x-trimint-token-id': token.tokenId,
    'x-trimint-subject': token.app,
    'x-trimint-client': token.client,
    'x-trimint-bcid': token.bcid,
    'x-trimint-task': token.options.task,
    'x-trimint-tries-left': triesLeft,
  })
}
