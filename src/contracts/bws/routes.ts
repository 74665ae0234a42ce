import basicAuth from '@fastify/basic-auth'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { type Audit, requestFields } from '../../audit.ts'
import { callerNetwork } from '../../core/address.ts'
import { type BwsApp, type BwsIssuer, issueBwsToken } from '../../core/bws/issue.ts'
import type { Guard } from '../../core/guard.ts'
import { matchSecret } from '../../core/secrets.ts'
import { readParameters } from '../../parameters.ts'
import { Refusal } from '../../refusal.ts'
import { createErrorHandler, invalidParameters } from './errors.ts'
import { bwsTokenQuery, PARAMETER_NAMES } from './schema.ts'

export interface BwsRoutesOptions {
  readonly apps: ReadonlyMap<string, BwsApp>
  readonly issuer: BwsIssuer
  readonly guard: Guard
  readonly audit: Audit
}

interface Caller {
  readonly app: BwsApp
  readonly secretSlot: number
}

/** Both spellings of the vendor (B1). */
export const BWS_PATHS = ['/token', '/extension/token'] as const

/**
 * BioID's BWS Token Web API, in the order of B36: method, credentials, parameters, what the app may do.
 *
 * @see docs/contracts/bws.md
 */
export const bwsRoutes: FastifyPluginAsync<BwsRoutesOptions> = async (app, { apps, issuer, guard, audit }) => {
  app.setErrorHandler(createErrorHandler(audit))
  app.decorateRequest('bwsCaller', null)
  await app.register(basicAuth, { validate: authenticate, authenticate: { realm: 'BWS' }, strictCredentials: false })

  for (const url of BWS_PATHS) {
    app.route({ method: 'GET', url, exposeHeadRoute: true, onRequest: app.basicAuth, handler: issue })
    const others = app.supportedMethods.filter((method) => method !== 'GET' && method !== 'HEAD')
    app.route({ method: others, url, onRequest: refuseMethod, handler: refuseMethod })
  }

  async function authenticate(id: string, secret: string, request: FastifyRequest): Promise<void> {
    const attempt = { address: callerNetwork(request.ip) }
    const retryAfter = guard.blockedFor(attempt)
    if (retryAfter > 0) throw new Refusal('blocked', { retryAfter })

    const candidate = apps.get(id)
    const slot = matchSecret(secret, candidate?.secrets, issuer.clock())
    if (candidate && slot !== undefined) {
      audit.secretUsed('app', slot)
      request.setDecorator<Caller>('bwsCaller', { app: candidate, secretSlot: slot })
      return
    }
    await guard.fail(attempt)
    throw candidate ? new Refusal('bad_secret', { app: id }) : new Refusal('unknown_app')
  }

  async function issue(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const { app: caller, secretSlot } = request.getDecorator<Caller>('bwsCaller')
    const { values, repeated } = readParameters(queryOf(request.raw.url ?? ''), PARAMETER_NAMES)
    const query = bwsTokenQuery.safeParse(values)
    if (!query.success || repeated.length > 0) throw invalidParameters(caller.id, repeated, query.error?.issues ?? [])

    const result = issueBwsToken(caller, query.data, issuer)
    if ('refused' in result) throw new Refusal(result.refused, { app: caller.id })

    audit.issued({
      contract: 'bws',
      app: caller.id,
      secretSlot,
      tokenId: result.tokenId,
      ...requestFields(request),
    })
    reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', 'no-store')
    return result.token
  }

  /** In a hook, so that it comes before any look at credentials or body (B2). */
  async function refuseMethod(): Promise<never> {
    throw new Refusal('method_not_allowed')
  }
}

function queryOf(target: string): string {
  const start = target.indexOf('?')
  return start === -1 ? '' : target.slice(start + 1)
}
