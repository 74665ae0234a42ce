import { available } from '../availability.ts'
import type { Clock } from '../clock.ts'
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

export type CheckedIdscanToken = Found | { readonly refused: 'wrong_area'; readonly claims: IdscanClaims }

/**
 * IDscan tokens after their issue. As a rule both answer at once; where the store has to be asked they answer later, and throw
 * StoreUnavailableError where it cannot be.
 */
export interface IdscanTokens {
  /** Finds out what a token is, and whether it is good. That is no use of it (I33). */
  find(jws: string): Found | Promise<Found>
  /** Whether a token is good for an area (I31); where it is, that is a use of it. */
  check(jws: string, area: IdscanArea): CheckedIdscanToken | Promise<CheckedIdscanToken>
}

export interface IdscanTokensDependencies {
  readonly verifier: IdscanVerifier
  /** By the name that a token holds: whose tokens are good. */
  readonly accounts: ReadonlyMap<string, IdscanAccount>
  readonly revocations: Revocations
  /** Where it is enforced (I33). */
  readonly idleTimeout: IdleTimeout | undefined
  readonly clock: Clock
}

export function createIdscanTokens(parts: IdscanTokensDependencies): IdscanTokens {
  const { verifier, accounts, revocations, idleTimeout, clock } = parts

  function find(jws: string): Found | Promise<Found> {
    const verified = verifyIdscanToken(jws, verifier, clock())
    if ('refused' in verified) return verified
    const { claims } = verified
    const account = accounts.get(claims.sub)
    if (account === undefined) return { refused: 'unknown_account', claims }
    if (account.disabled) return { refused: 'account_disabled', claims }
    const reading = revocations.refreshIfStale()
    return reading ? available(reading).then(() => findUse(claims)) : findUse(claims)
  }

  function findUse(claims: IdscanClaims): Found | Promise<Found> {
    const { jti, sub, iat } = claims
    const revokedAt = revocations.revokedAt({ tokenId: jti, holder: `account ${sub}`, issuedAt: iat * 1000 })
    if (revokedAt !== undefined) return { refused: 'token_revoked', claims }
    const isIdle = idleTimeout?.isIdle(claims) ?? false
    const conclude = (idle: boolean): Found => (idle ? { refused: 'token_idle', claims } : { claims })
    return isIdle instanceof Promise ? available(isIdle).then(conclude) : conclude(isIdle)
  }

  return {
    find,
    check(jws, area) {
      const conclude = (found: Found): CheckedIdscanToken => {
        if ('refused' in found) return found
        const { claims } = found
        if (claims.area !== area) return { refused: 'wrong_area', claims }
        idleTimeout?.use(claims)
        return found
      }
      const found = find(jws)
      return found instanceof Promise ? found.then(conclude) : conclude(found)
    },
  }
}
