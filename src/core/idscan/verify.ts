import { z } from 'zod'
import { verifyJws } from '../crypto/jws.ts'
import type { Keyring } from '../crypto/keyring.ts'
import { outsideValidity } from '../validity.ts'
import { IDSCAN_AREAS } from './account.ts'

const claimsSchema = z.object({
  jti: z.string(),
  sub: z.string(),
  name: z.string().optional(),
  role: z.string().optional(),
  area: z.enum(IDSCAN_AREAS).optional(),
  tenant: z.string().optional(),
  iss: z.string(),
  aud: z.string(),
  iat: z.int(),
  nbf: z.int(),
  exp: z.int(),
})

const idscanClaims = z.compile(claimsSchema)

/** The claims of a verified IDscan token. Times are in seconds since the epoch. */
export type IdscanClaims = z.output<typeof claimsSchema>

/** Which IDscan tokens are accepted. */
export interface IdscanVerifier {
  readonly keyring: Keyring
  readonly issuer: string
  readonly audience: string
}

type Verification =
  | { readonly claims: IdscanClaims }
  | { readonly refused: 'token_expired' | 'token_not_yet_valid'; readonly claims: IdscanClaims }
  | { readonly refused: 'invalid_token' }

/**
 * Verifies signature, claims, issuer, audience and times of an IDscan token (I30, I32). Does not check revocation.
 *
 * @param now milliseconds since the epoch.
 */
export function verifyIdscanToken(jws: string, verifier: IdscanVerifier, now: number): Verification {
  const { data: claims } = idscanClaims.safeParse(verifyJws(jws, verifier.keyring, now))
  if (!claims || claims.iss !== verifier.issuer || claims.aud !== verifier.audience) {
    return { refused: 'invalid_token' }
  }
  const refused = outsideValidity(claims, now)
  return refused ? { refused, claims } : { claims }
}
