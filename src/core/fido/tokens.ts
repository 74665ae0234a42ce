import { available } from '../availability.ts'
import type { Clock } from '../clock.ts'
import { CLOCK_LEEWAY_MS, type Redemption, type TokenRecord, type TokenStore } from '../ports/token-store.ts'
import type { Revocations } from '../revocations.ts'
import { digestId } from './issue.ts'
import type { FidoOperation } from './operation.ts'

/** Issued nevisFIDO tokens. Every method throws StoreUnavailableError when the store fails. */
export interface FidoTokens {
  /** Finds a token. `revokedAt` includes a revocation of everything that was issued to its user. */
  find(token: string): Promise<TokenRecord | undefined>
  /** Finds the token of a session, as {@link find}. */
  findBySession(sessionId: string): Promise<TokenRecord | undefined>
  /** Redeems a token at most once. */
  redeem(token: string, operation: FidoOperation): Promise<Redemption>
  /** Revokes a token. Resolves to false where there is nothing to revoke. */
  revoke(token: string): Promise<boolean>
}

export interface FidoTokensDependencies {
  readonly store: TokenStore
  readonly revocations: Revocations
  readonly clock: Clock
}

/** Tells whether a token can be redeemed at a time (milliseconds since the epoch). */
export function isRedeemable({ redeemedAt, revokedAt, createdAt, expiresAt }: TokenRecord, now: number): boolean {
  const isInTime = createdAt <= now + CLOCK_LEEWAY_MS && now < expiresAt
  return redeemedAt === undefined && revokedAt === undefined && isInTime
}

export function createFidoTokens({ store, revocations, clock }: FidoTokensDependencies): FidoTokens {
  async function withRevocationOfUser(record: TokenRecord | undefined): Promise<TokenRecord | undefined> {
    await available(revocations.refreshIfStale())
    if (record?.username === undefined || record.revokedAt !== undefined) return record
    const { tokenDigest: tokenId, username, createdAt: issuedAt, knownRevocation } = record
    const revokedAt = revocations.revokedAt({ tokenId, holder: `user ${username}`, issuedAt, knownRevocation })
    return { ...record, revokedAt }
  }

  async function find(token: string): Promise<TokenRecord | undefined> {
    return withRevocationOfUser(await available(store.findByToken(digestId(token), clock())))
  }

  return {
    find,
    async findBySession(sessionId) {
      return withRevocationOfUser(await available(store.findBySession(digestId(sessionId), clock())))
    },
    async redeem(token, operation) {
      await available(revocations.refreshIfStale())
      // The store ensures a single redemption; a lookup before it is needed only while a user's tokens are revoked.
      const record = revocations.concernUsers() ? await find(token) : undefined
      if (record?.revokedAt !== undefined) return { outcome: 'spent' }
      return available(store.redeem(digestId(token), operation, clock()))
    },
    async revoke(token) {
      const now = clock()
      const record = await available(store.findByToken(digestId(token), now))
      if (!record) return false
      // Also after expiry, since this process's clock may be ahead.
      const isNew = await available(store.revoke(digestId(token), now))
      // After expiry a redeemed token can still receive a response; one that was not redeemed has ended.
      return isNew && (record.redeemedAt !== undefined || now < record.expiresAt)
    },
  }
}
