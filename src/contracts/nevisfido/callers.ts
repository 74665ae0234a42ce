import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Audit } from '../../audit.ts'
import { callerNetwork } from '../../core/address.ts'
import type { Clock } from '../../core/clock.ts'
import type { Guard } from '../../core/guard.ts'
import { matchSecret, type SecretSlot } from '../../core/secrets.ts'
import { Refusal } from '../../refusal.ts'
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

export interface CallerParts {
  readonly clients: ReadonlyMap<string, Client>
  readonly bearer: BearerIssuer | undefined
  readonly guard: Guard
  readonly clock: Clock
  readonly audit: Audit
}

/** Says who a request comes from, or refuses it. */
export type Authenticate = (request: FastifyRequest, reply: FastifyReply) => Promise<Caller>

/** `Authorization: Basic` of a configured client, or `Authorization: Bearer` of a configured issuer's JWT (N8). */
export async function createAuthenticate(app: FastifyInstance, parts: CallerParts): Promise<Authenticate> {
  const { clients, bearer, guard, clock, audit } = parts
  // Loaded where it is needed alone: what verifies foreign JWTs takes its part of a start.
  const verifyBearer = bearer && (await import('./bearer.ts')).createBearerVerification(bearer, clock)
  const callers = new WeakMap<FastifyRequest, Caller>()
  await app.register(basicAuth, { validate: checkClient, strictCredentials: false })

  async function checkClient(id: string, secret: string, request: FastifyRequest): Promise<void> {
    const client = clients.get(id)
    const slot = matchSecret(secret, client?.secrets, clock())
    if (client && slot !== undefined) {
      audit.secretUsed('client', slot)
      callers.set(request, { client: id, secretSlot: slot, users: client.users })
      return
    }
    await guard.fail({ address: callerNetwork(request.ip) })
    throw client ? new Refusal('bad_secret', { client: id }) : new Refusal('unknown_client')
  }

  return async (request, reply) => {
    const { authorization } = request.headers
    if (guard.blockedFor({ address: callerNetwork(request.ip) }) > 0) throw new Refusal('blocked')
    if (!authorization) throw new Refusal('missing_authorization')
    const [, token] = /^Bearer +([\w.~+/-]+=*) *$/i.exec(authorization) ?? []
    if (verifyBearer && token !== undefined) return verifyBearer(token)
    await new Promise<void>((resolve, reject) => {
      app.basicAuth.call(app, request, reply, (error) => (error ? reject(error) : resolve()))
    })
    return callers.get(request) as Caller
  }
}
