import basicAuth from '@fastify/basic-auth'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { clientNetwork } from '../../core/address.ts'
import { type BwsApp, type BwsIssuer, issueBwsToken } from '../../core/bws/issue.ts'
import { matchSecret } from '../../core/crypto/secrets.ts'
import type { Guard } from '../../core/guard.ts'
import { clientIp } from '../../http/client-ip.ts'
import { Refusal } from '../../http/refusal.ts'
import { type AuditLog, requestFields } from '../../observability/audit-log.ts'
import { createErrorHandler, invalidParameters } from './errors.ts'
import { checkBwsTokenQuery, readBwsTokenQuery } from './schema.ts'

export interface BwsRoutesOptions {
  readonly apps: ReadonlyMap<string, BwsApp>
  readonly issuer: BwsIssuer
  readonly guard: Guard
  readonly audit: AuditLog
}

interface Caller {
  readonly app: BwsApp
  readonly secretSlot: number
}

type Done = (error?: Error) => void

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

  // By callback, as a promise for each of these would be a good part of what a token costs.
  function authenticate(id: string, secret: string, request: FastifyRequest, _reply: unknown, done: Done): void {
    const attempt = { address: clientNetwork(clientIp(request)) }
    const retryAfter = guard.blockedFor(attempt)
    const candidate = apps.get(id)
    const secretSlot = retryAfter > 0 ? undefined : matchSecret(secret, candidate?.secrets, issuer.clock())
    if (retryAfter > 0) {
      done(new Refusal('blocked', { retryAfter }))
    } else if (candidate && secretSlot !== undefined) {
      audit.secretUsed('app', secretSlot)
      request.setDecorator<Caller>('bwsCaller', { app: candidate, secretSlot })
      done()
    } else {
      const refusal = candidate ? new Refusal('bad_secret', { app: id }) : new Refusal('unknown_app')
      guard.fail(attempt).then(() => done(refusal), done)
    }
  }

  function issue(request: FastifyRequest, reply: FastifyReply): string {
    const { app: caller, secretSlot } = request.getDecorator<Caller>('bwsCaller')
    const { values, repeated } = readBwsTokenQuery(queryOf(request.raw.url ?? ''))
    const query = checkBwsTokenQuery(values)
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
