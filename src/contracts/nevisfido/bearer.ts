import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose'
import type { Clock } from '../../core/clock.ts'
import { fidoUsername } from '../../core/fido/context.ts'
import { Refusal } from '../../http/refusal.ts'
import type { Caller } from './callers.ts'

/** Whose JWTs are taken. */
export interface BearerIssuer {
  readonly issuer: string
  readonly audience: string
  readonly keys: { readonly url: string } | { readonly jwks: Parameters<typeof createLocalJWKSet>[0] }
}

/** Asymmetric only: with HS256 whoever can verify could sign, and `none` is no signature. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

/** Milliseconds to wait for somebody else's keys. */
const KEYS_TIMEOUT = 3_000

/** Milliseconds between two fetches for a key that is not there: unknown key ids cannot make us flood the issuer. */
const KEYS_COOLDOWN = 30_000

/** Milliseconds for which keys that could not be had are not asked for again. */
const KEYS_PAUSE = 2_000

/** Verifies the JWTs of an issuer. */
export function createBearerVerification({ issuer, audience, keys }: BearerIssuer, clock: Clock) {
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
