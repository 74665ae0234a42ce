import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { clientNetwork } from '../core/address.ts'
import type { Clock } from '../core/clock.ts'
import { matchSecret, type SecretSlot } from '../core/crypto/secrets.ts'
import type { Guard } from '../core/guard.ts'
import type { Attempt } from '../core/guard-scopes.ts'
import type { AuditLog, SecretHolder } from '../observability/audit-log.ts'
import { clientIp } from './client-ip.ts'
import { explainBlock, explainUnknownId, explainWrongSecret } from './explain-credentials.ts'
import { Refusal } from './refusal.ts'

export interface BasicAuthOptions<Holder> {
  readonly kind: SecretHolder
  /** By id. */
  readonly holders: ReadonlyMap<string, Holder>
  readonly guard: Guard
  readonly clock: Clock
  readonly audit: AuditLog
  /** Returns every way in which the header's credentials can be read; as they are, by default. */
  readonly readings?: (credentials: Credentials) => readonly Credentials[]
}

export interface Credentials {
  readonly id: string
  readonly secret: string
}

/** A holder whose secret was right. */
interface Authenticated<Holder> {
  readonly id: string
  readonly holder: Holder
  /** The position of the secret that was given, counted from 0. */
  readonly secretSlot: number
}

/** Both throw a {@link Refusal}, or @fastify/basic-auth's own error for a missing or malformed header. */
export interface BasicAuth<Holder> {
  /** Authenticates a request by its `Authorization` header (RFC 7617). */
  authenticate(request: FastifyRequest, reply: FastifyReply): Promise<Authenticated<Holder>>
  /** Checks credentials that the request carries elsewhere. */
  check(request: FastifyRequest, readings: readonly Credentials[]): Promise<Authenticated<Holder>>
}

const FIELDS = { app: 'app', client: 'client', resource_server: 'resourceServer' } as const

/** Registers HTTP Basic for the routes of a plugin: guard, secret in constant time, counts. */
export async function registerBasicAuth<Holder extends { readonly secrets: readonly SecretSlot[] }>(
  app: FastifyInstance,
  { kind, holders, guard, clock, audit, readings = (given) => [given] }: BasicAuthOptions<Holder>,
): Promise<BasicAuth<Holder>> {
  app.decorateRequest('authenticated', null)
  await app.register(basicAuth, {
    strictCredentials: false,
    async validate(id, secret, request) {
      request.setDecorator('authenticated', await check(request, readings({ id, secret })))
    },
  })

  function check(request: FastifyRequest, candidates: readonly Credentials[]): Promise<Authenticated<Holder>> {
    const attempt = attemptOf(request)
    return guard.inTurn(attempt, () => evaluate(attempt, candidates))
  }

  async function evaluate(attempt: Attempt, candidates: readonly Credentials[]): Promise<Authenticated<Holder>> {
    if (guard.blockedFor(attempt) > 0) throw refuseBlocked(attempt, guard)
    let knownId: string | undefined
    for (const { id, secret } of candidates) {
      const holder = holders.get(id)
      if (holder) knownId = id
      const secretSlot = matchSecret(secret, holder?.secrets, clock())
      if (!holder || secretSlot === undefined) continue
      audit.secretUsed(kind, secretSlot)
      return { id, holder, secretSlot }
    }
    if (await guard.fail(attempt)) throw refuseBlocked(attempt, guard)
    const [{ id, secret } = { id: '', secret: '' }] = candidates
    throw knownId === undefined
      ? new Refusal(`unknown_${kind}`, { explain: () => explainUnknownId(id, holders, kind.replace('_', ' ')) })
      : new Refusal('bad_secret', {
          [FIELDS[kind]]: knownId,
          explain: () => explainWrongSecret(knownId, secret, holders, clock()),
        })
  }

  return {
    check,
    async authenticate(request, reply) {
      await new Promise<void>((resolve, reject) => {
        app.basicAuth.call(app, request, reply, (error) => (error ? reject(error) : resolve()))
      })
      return request.getDecorator<Authenticated<Holder>>('authenticated')
    },
  }
}

/** Throws a {@link Refusal} while the guard blocks the address that a request comes from. */
export function refuseWhileBlocked(request: FastifyRequest, guard: Guard): void {
  const attempt = attemptOf(request)
  if (guard.blockedFor(attempt) > 0) throw refuseBlocked(attempt, guard)
}

function refuseBlocked(attempt: Attempt, guard: Guard): Refusal {
  const retryAfterMs = guard.blockedFor(attempt)
  const explain = () => explainBlock(`the address ${attempt.address}`, retryAfterMs, 'guard.addressFailures')
  return new Refusal('blocked', { retryAfterMs, explain })
}

function attemptOf(request: FastifyRequest): Attempt {
  return { address: clientNetwork(clientIp(request)) }
}
