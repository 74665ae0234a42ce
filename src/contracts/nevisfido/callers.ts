import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose'
import type { Audit } from '../../audit.ts'
import { callerNetwork } from '../../core/address.ts'
import type { Clock } from '../../core/clock.ts'
import { fidoUsername } from '../../core/fido/context.ts'
import type { Guard } from '../../core/guard.ts'
import { matchSecret, type SecretSlot } from '../../core/secrets.ts'
import { Refusal } from '../../refusal.ts'

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

/** Whose JWTs are taken. */
export interface BearerIssuer {
  readonly issuer: string
  readonly audience: string
  readonly keys: { readonly url: string } | { readonly jwks: Parameters<typeof createLocalJWKSet>[0] }
}

export interface CallerParts {
  readonly clients: ReadonlyMap<string, Client>
  readonly bearer: BearerIssuer | undefined
  readonly guard: Guard
  readonly clock: Clock
  readonly audit: Audit
}

/** Asymmetric only: with HS256 whoever can verify could sign, and `none` is no signature. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

/** Milliseconds to wait for somebody else's keys. */
const KEYS_TIMEOUT = 3_000

/** Milliseconds between two fetches for a key that is not there: unknown key ids cannot make us flood the issuer. */
const KEYS_COOLDOWN = 30_000

/** Milliseconds for which keys that could not be had are not asked for again. */
const KEYS_PAUSE = 2_000

/** Says who a request comes from, or refuses it. */
export type Authenticate = (request: FastifyRequest, reply: FastifyReply) => Promise<Caller>

/** `Authorization: Basic` of a configured client, or `Authorization: Bearer` of a configured issuer's JWT (N8). */
export async function createAuthenticate(app: FastifyInstance, parts: CallerParts): Promise<Authenticate> {
  const { clients, bearer, guard, clock, audit } = parts
  const verifyBearer = bearer && createBearerVerification(bearer, clock)
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

function createBearerVerification({ issuer, audience, keys }: BearerIssuer, clock: Clock) {
  const getKey =
    'url' in keys
      ? withPause(
          createRemoteJWKSet(new URL(keys.url), { timeoutDuration: KEYS_TIMEOUT, cooldownDuration: KEYS_COOLDOWN }),
          clock,
        )
      : createLocalJWKSet(keys.jwks)

  return async (token: string): Promise<Caller> => {
    const options = { issuer, audience, algorithms: ALGORITHMS, requiredClaims: ['sub', 'exp'] }
    const { payload } = await jwtVerify(token, getKey, { ...options, currentDate: new Date(clock()) }).catch(
      (error) => {
        throw isCallersFault(error) ? new Refusal('bad_bearer') : error
      },
    )
    const { data: subject } = fidoUsername.safeParse(payload.sub)
    if (subject === undefined) throw new Refusal('bad_bearer')
    return { client: `${issuer} ${subject}`, users: new Set([subject]), defaultUser: subject }
  }
}

/** Keys that cannot be had are not the caller's fault; everything else that jose finds is. */
function isCallersFault(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout) return false
  return error.code !== 'ERR_JOSE_GENERIC'
}

/** After keys could not be had, asks for none for a while. Nothing that is in a token can set this off. */
function withPause(getKey: JWTVerifyGetKey, clock: Clock): JWTVerifyGetKey {
  let failure: unknown
  let failedUntil = Number.NEGATIVE_INFINITY
  return async (header, token) => {
    if (clock() < failedUntil) throw failure
    try {
      return await getKey(header, token)
    } catch (error) {
      if (!isCallersFault(error)) {
        failure = error
        failedUntil = clock() + KEYS_PAUSE
      }
      throw error
    }
  }
}
