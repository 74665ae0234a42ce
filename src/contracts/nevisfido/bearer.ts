import { createLocalJWKSet, jwtVerify } from 'jose'
import type { Clock } from '../../core/clock.ts'
import { fidoUsername } from '../../core/fido/context.ts'
import { Refusal } from '../../http/refusal.ts'
import type { Caller } from './caller.ts'
import { createIssuerKeys, KeysUnavailableError } from './issuer-keys.ts'
import type { BearerIssuer } from './options.ts'

/** Asymmetric only: with HS256 the verifier could sign too, and `none` proves nothing. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

/**
 * Returns a function that verifies the JWTs of an issuer (N8).
 *
 * It throws the refusal `bad_bearer` for everything that a JWT, or the key that it names, can cause, and
 * KeysUnavailableError where the keys cannot be fetched.
 */
export function createBearerVerification(
  { issuer, audience, keys, leewaySeconds }: BearerIssuer,
  clock: Clock,
): (token: string) => Promise<Caller> {
  const getKey = 'url' in keys ? createIssuerKeys(keys.url, clock) : createLocalJWKSet(keys.jwks)
  const required = {
    issuer,
    audience,
    algorithms: ALGORITHMS,
    requiredClaims: ['sub', 'exp'],
    clockTolerance: leewaySeconds,
  }

  return async (token) => {
    const { payload } = await jwtVerify(token, getKey, { ...required, currentDate: new Date(clock()) }).catch(
      (error) => {
        throw error instanceof KeysUnavailableError
          ? error
          : new Refusal('bad_bearer', { explain: () => `the JWT of the caller: ${(error as Error).message}` })
      },
    )
    const { data: subject } = fidoUsername.safeParse(payload.sub)
    if (subject === undefined) {
      throw new Refusal('bad_bearer', { explain: () => 'the claim sub of the JWT is not a user name' })
    }
    return { client: `${issuer} ${subject}`, users: new Set([subject]), defaultUser: subject }
  }
}
