import { available } from './availability.ts'
import type { BwsTokens } from './bws/tokens.ts'
import type { BwsToken } from './bws/verify.ts'
import type { Clock } from './clock.ts'
import { decodeJws } from './crypto/jws.ts'
import { digestId } from './fido/issue.ts'
import { type FidoTokens, isRedeemable } from './fido/tokens.ts'
import type { IdscanTokens } from './idscan/tokens.ts'
import type { IdscanClaims } from './idscan/verify.ts'
import type { TokenRecord } from './ports/token-store.ts'
import type { Revocations } from './revocations.ts'

/** An active token. */
export type Inspection =
  | { readonly contract: 'bws'; readonly token: BwsToken; readonly triesLeft: number }
  | { readonly contract: 'idscan'; readonly claims: IdscanClaims }
  | { readonly contract: 'nevisfido'; readonly record: TokenRecord }

/** The token that was revoked, by its id in logs. */
interface RevokedToken {
  readonly contract: Inspection['contract']
  readonly tokenId: string
}

/**
 * Inspects and revokes tokens of every contract. Both methods throw StoreUnavailableError where they need the store and
 * it fails.
 */
export interface Lifecycle {
  /**
   * Returns a token's contents, without counting a use. Resolves to undefined for an inactive token, whatever the
   * reason.
   */
  inspect(token: string): Promise<Inspection | undefined>
  /** Revokes a token. Resolves to undefined for an unknown, expired or revoked one. */
  revoke(token: string): Promise<RevokedToken | undefined>
}

export interface LifecycleDependencies {
  /** Undefined where the contract is disabled, like the two below. */
  readonly bws: BwsTokens | undefined
  readonly idscan: IdscanTokens | undefined
  readonly nevisfido: FidoTokens | undefined
  readonly revocations: Revocations
  readonly clock: Clock
}

export function createLifecycle({ bws, idscan, nevisfido, revocations, clock }: LifecycleDependencies): Lifecycle {
  async function inspectBws(jws: string): Promise<Inspection | undefined> {
    const found = await bws?.find(jws)
    if (!bws || !found || 'refused' in found) return undefined
    const triesLeft = await bws.triesLeft(found.token)
    return triesLeft > 0 ? { contract: 'bws', token: found.token, triesLeft } : undefined
  }

  async function inspectIdscan(jws: string): Promise<Inspection | undefined> {
    const found = await idscan?.find(jws)
    return found && !('refused' in found) ? { contract: 'idscan', claims: found.claims } : undefined
  }

  async function inspectFido(token: string): Promise<Inspection | undefined> {
    const record = await nevisfido?.find(token)
    return record && isRedeemable(record, clock()) ? { contract: 'nevisfido', record } : undefined
  }

  // Tokens that are rejected only for now, as not yet valid or of a disabled account, can be revoked as well.

  async function revokeBws(jws: string): Promise<RevokedToken | undefined> {
    const found = await bws?.find(jws)
    if (!found || !('token' in found)) return undefined
    const { tokenId, expires } = found.token
    const revoked = await available(revocations.revokeToken(tokenId, expires * 1000))
    return revoked ? { contract: 'bws', tokenId } : undefined
  }

  async function revokeIdscan(jws: string): Promise<RevokedToken | undefined> {
    const found = await idscan?.find(jws)
    if (!found || !('claims' in found)) return undefined
    const { jti, exp } = found.claims
    const revoked = await available(revocations.revokeToken(jti, exp * 1000))
    return revoked ? { contract: 'idscan', tokenId: jti } : undefined
  }

  async function revokeFido(token: string): Promise<RevokedToken | undefined> {
    const revoked = await nevisfido?.revoke(token)
    return revoked ? { contract: 'nevisfido', tokenId: digestId(token) } : undefined
  }

  return {
    async inspect(token) {
      switch (guessContract(token)) {
        case 'bws':
          return inspectBws(token)
        case 'idscan':
          return inspectIdscan(token)
        case 'nevisfido':
          return inspectFido(token)
      }
    },
    async revoke(token) {
      switch (guessContract(token)) {
        case 'bws':
          return revokeBws(token)
        case 'idscan':
          return revokeIdscan(token)
        case 'nevisfido':
          return revokeFido(token)
      }
    },
  }
}

/** Guesses the contract of a token from its unverified content. The contract's own functions verify the token. */
function guessContract(token: string): Inspection['contract'] {
  const claims = decodeJws(token)?.claims
  if (!claims) return 'nevisfido'
  return 'tokenid' in claims ? 'bws' : 'idscan'
}
