import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { clientNetwork } from '../../core/address.ts'
import type { Clock } from '../../core/clock.ts'
import { matchSecret, type SecretSlot } from '../../core/crypto/secrets.ts'
import type { Guard } from '../../core/guard.ts'
import { clientIp } from '../../http/client-ip.ts'
import { Refusal } from '../../http/refusal.ts'
import type { AuditLog } from '../../observability/audit-log.ts'
import type { BearerIssuer } from './bearer.ts'

/** Who a request comes from, and for whom they may act (N8). */
export interface Caller {
  readonly client: string
  /** Which of its secrets a client gave. */
  readonly secretSlot?: number
  readonly users: ReadonlySet<string> | '*'
  /** Taken where a request names no user (N11). */
  readonly defaultUser?: string
}

interface Client {
  readonly id: string
  readonly secrets: readonly SecretSlot[]
  readonly users: ReadonlySet<string> | '*'
}

export interface ClientAuthenticationOptions {
  readonly clients: ReadonlyMap<string, Client>
  readonly bearer: BearerIssuer | undefined
  readonly guard: Guard
  readonly clock: Clock
  readonly audit: AuditLog
}

/**
 * Says who a request comes from, or refuses it. By callback, as a promise for each step would be a good part of what a token
 * costs.
 */
export type Authenticate = (request: FastifyRequest, reply: FastifyReply, done: Done) => void

type Done = (refusal?: Error) => void

/** `Authorization: Basic` of a configured client, or `Authorization: Bearer` of a configured issuer's JWT (N8). */
export async function createAuthenticate(
  app: FastifyInstance,
  parts: ClientAuthenticationOptions,
): Promise<Authenticate> {
  const { clients, bearer, guard, clock, audit } = parts
  // Loaded where it is needed alone: what verifies foreign JWTs takes its part of a start.
  const verifyBearer = bearer && (await import('./bearer.ts')).createBearerVerification(bearer, clock)
  app.decorateRequest(CALLER, undefined)
  await app.register(basicAuth, { validate: checkClient, strictCredentials: false })

  function checkClient(id: string, secret: string, request: FastifyRequest, _reply: unknown, done: Done): void {
    const client = clients.get(id)
    const slot = matchSecret(secret, client?.secrets, clock())
    if (client && slot !== undefined) {
      audit.secretUsed('client', slot)
      request.setDecorator<Caller>(CALLER, { client: id, secretSlot: slot, users: client.users })
      done()
      return
    }
    const refusal = client ? new Refusal('bad_secret', { client: id }) : new Refusal('unknown_client')
    guard.fail({ address: clientNetwork(clientIp(request)) }).then(() => done(refusal), done)
  }

  return (request, reply, done) => {
    const { authorization } = request.headers
    if (guard.blockedFor({ address: clientNetwork(clientIp(request)) }) > 0) return done(new Refusal('blocked'))
    if (!authorization) return done(new Refusal('missing_authorization'))
    const token = verifyBearer && /^Bearer +([\w.~+/-]+=*) *$/i.exec(authorization)?.[1]
    if (!verifyBearer || token === undefined) return app.basicAuth.call(app, request, reply, done)
    verifyBearer(token).then((caller) => {
      request.setDecorator<Caller>(CALLER, caller)
      done()
    }, done)
  }
}

const CALLER = 'nevisfidoCaller'

/** Who a request comes from; undefined where it was not asked. */
export function callerOf(request: FastifyRequest): Caller | undefined {
  return request.getDecorator<Caller | undefined>(CALLER)
}
