import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose'
import type { Clock } from '../../core/clock.ts'
import { fidoUsername } from '../../core/fido/context.ts'
import { Refusal } from '../../http/refusal.ts'
import type { Caller } from './caller.ts'
import type { BearerIssuer } from './options.ts'

/** Asymmetric only: with HS256 the verifier could sign too, and `none` proves nothing. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

const KEYS_TIMEOUT_MS = 3_000

/** Between two fetches for an unknown key id, so that invented ids cannot flood the issuer. */
const KEYS_COOLDOWN_MS = 30_000

/** Between a failed fetch of the keys and the next. */
const KEYS_RETRY_DELAY_MS = 2_000

/** Returns a function that verifies the JWTs of an issuer. */
export function createBearerVerification({ issuer, audience, keys }: BearerIssuer, clock: Clock) {
  const getKey =
    'url' in keys
      ? withRetryDelay(
          createRemoteJWKSet(new URL(keys.url), {
            timeoutDuration: KEYS_TIMEOUT_MS,
            cooldownDuration: KEYS_COOLDOWN_MS,
          }),
          clock,
        )
      : createLocalJWKSet(keys.jwks)

  return async (token: string): Promise<Caller> => {
    const options = { issuer, audience, algorithms: ALGORITHMS, requiredClaims: ['sub', 'exp'] }
    const { payload } = await jwtVerify(token, getKey, { ...options, currentDate: new Date(clock()) }).catch(
      (error) => {
        throw isFaultOfCaller(error) ? new Refusal('bad_bearer') : error
      },
    )
    const { data: subject } = fidoUsername.safeParse(payload.sub)
    if (subject === undefined) throw new Refusal('bad_bearer')
    return { client: `${issuer} ${subject}`, users: new Set([subject]), defaultUser: subject }
  }
}

/** Returns whether the caller caused an error of jose: all of them except unavailable keys. */
function isFaultOfCaller(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout) return false
  return error.code !== 'ERR_JOSE_GENERIC'
}

/** Fails at once for a while after the keys were unavailable. No content of a token can cause that. */
function withRetryDelay(getKey: JWTVerifyGetKey, clock: Clock): JWTVerifyGetKey {
  let failure: unknown
  let failedUntil = Number.NEGATIVE_INFINITY
  return async (header, token) => {
    if (clock() < failedUntil) throw failure
    try {
      return await getKey(header, token)
    } catch (error) {
      if (!isFaultOfCaller(error)) {
        failure = error
        failedUntil = clock() + KEYS_RETRY_DELAY_MS
      }
      throw error
    }
  }
}
