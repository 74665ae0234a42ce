import { available } from '../availability.ts'
import type { Clock } from '../clock.ts'
import { explainInvalidToken } from '../crypto/explain-invalid-token.ts'
import type { Revocations } from '../revocations.ts'
import type { IdscanAccount, IdscanArea } from './account.ts'
import type { IdleTimeout } from './idle.ts'
import { type IdscanClaims, type IdscanVerifier, verifyIdscanToken } from './verify.ts'

type Found =
  | { readonly claims: IdscanClaims }
  | {
      readonly refused:
        | 'token_expired'
        | 'token_not_yet_valid'
        | 'token_revoked'
        | 'token_idle'
        | 'unknown_account'
        | 'account_disabled'
      readonly claims: IdscanClaims
    }
  | { readonly refused: 'invalid_token' }

type CheckedIdscanToken = Found | { readonly refused: 'wrong_area'; readonly claims: IdscanClaims }

/** Issued IDscan tokens. Both methods throw StoreUnavailableError where they need the store and the store fails. */
export interface IdscanTokens {
  /** Verifies a token, its account, revocation and idle time-out. Does not count as a use (I33). */
  find(jws: string): Promise<Found>
  /** Checks a token for an area (I31). A successful check counts as a use (I33). */
  check(jws: string, area: IdscanArea): Promise<CheckedIdscanToken>
  /** Says why {@link find} returns `invalid_token`. */
  explainInvalid(jws: string): string
}

export interface IdscanTokensDependencies {
  readonly verifier: IdscanVerifier
  /** The configured accounts by username; tokens of other accounts are rejected. */
  readonly accounts: ReadonlyMap<string, IdscanAccount>
  readonly revocations: Revocations
  /** Undefined where the time-out is not enforced (I33). */
  readonly idleTimeout: IdleTimeout | undefined
  readonly clock: Clock
}

export function createIdscanTokens(dependencies: IdscanTokensDependencies): IdscanTokens {
  const { verifier, accounts, revocations, idleTimeout, clock } = dependencies

  async function find(jws: string): Promise<Found> {
    const verified = verifyIdscanToken(jws, verifier, clock())
    if ('refused' in verified) return verified
    const { claims } = verified
    const account = accounts.get(claims.sub)
    if (account === undefined) return { refused: 'unknown_account', claims }
    if (account.disabled) return { refused: 'account_disabled', claims }
    await available(revocations.refreshIfStale())
    const { jti, sub, iat } = claims
    const revokedAt = revocations.revokedAt({ tokenId: jti, holder: `account ${sub}`, issuedAt: iat * 1000 })
    if (revokedAt !== undefined) return { refused: 'token_revoked', claims }
    const isIdle = idleTimeout !== undefined && (await available(idleTimeout.isIdle(claims)))
    return isIdle ? { refused: 'token_idle', claims } : { claims }
  }

  return {
    find,
    explainInvalid: (jws) => explainInvalidToken(jws, verifier, clock),
    async check(jws, area) {
      const found = await find(jws)
      if ('refused' in found) return found
      const { claims } = found
      if (claims.area !== area) return { refused: 'wrong_area', claims }
      idleTimeout?.use(claims)
      return found
    },
  }
}
