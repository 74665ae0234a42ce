import { type Clock, numericDate } from '../clock.ts'
import { signJws } from '../crypto/jws.ts'
import { type Keyring, signingKey } from '../crypto/keyring.ts'
import type { Randomness } from '../randomness.ts'
import type { IdscanAccount, IdscanArea } from './account.ts'

export interface IdscanIssuer {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly randomness: Randomness
  readonly issuer: string
  readonly audience: string
  readonly lifetimeSeconds: number
}

export interface IdscanToken {
  readonly token: string
  readonly tokenId: string
  /** Seconds since the epoch (RFC 7519 NumericDate). */
  readonly issuedAt: number
  readonly expiresAt: number
}

/**
 * Issues a token for an account whose password has been verified (I22). Unset values are left out of the claims.
 *
 * @param area undefined for a token that is rejected for every area (I11).
 * @see docs/contracts/idscan.md
 */
export function issueIdscanToken(
  account: IdscanAccount,
  area: IdscanArea | undefined,
  { keyring, clock, randomness, issuer, audience, lifetimeSeconds }: IdscanIssuer,
): IdscanToken {
  const now = clock()
  const issuedAt = numericDate(now)
  const expiresAt = issuedAt + lifetimeSeconds
  const tokenId = randomness.uuid()
  const claims = {
    jti: tokenId,
    sub: account.username,
    name: account.fullName,
    role: account.role,
    area,
    tenant: account.tenant,
    iss: issuer,
    aud: audience,
    iat: issuedAt,
    nbf: issuedAt,
    exp: expiresAt,
  }
  return { token: signJws(claims, signingKey(keyring, now)), tokenId, issuedAt, expiresAt }
}
