import { available } from '../availability.ts'
import type { Clock } from '../clock.ts'
import type { CredentialStore } from '../ports/credential-store.ts'
import {
  CLOCK_LEEWAY_MS,
  type KeyRemoval,
  type Redemption,
  type TokenRecord,
  type TokenStore,
} from '../ports/token-store.ts'
import type { Revocations } from '../revocations.ts'
import { describeCredential } from '../uaf/authentication.ts'
import { isTaken } from '../uaf/policy.ts'
import type { UafRules } from '../uaf/verdict.ts'
import { digestId } from './issue.ts'
import type { FidoOperation } from './operation.ts'
import { acceptKeys, disallowKeys, listKeys, readSentRequest, selectorsOf } from './sent-request.ts'

/** A redeemed token, and the request for the FIDO client. */
export interface RedeemedToken {
  readonly outcome: 'redeemed'
  readonly record: TokenRecord
  /** JSON text of an array with one request. */
  readonly uafRequest: string
}

/** Issued nevisFIDO tokens. Every method throws StoreUnavailableError when the store fails. */
export interface FidoTokens {
  /** Finds a token. `revokedAt` includes a revocation of everything that was issued to its user. */
  find(token: string): Promise<TokenRecord | undefined>
  /** Finds a token by its digest, as {@link find}. */
  findByDigest(tokenDigest: string): Promise<TokenRecord | undefined>
  /** Finds the token of a session, as {@link find}. */
  findBySession(sessionId: string): Promise<TokenRecord | undefined>
  /** Redeems a token at most once. A deregistration deletes keys of its user in the same step. */
  redeem(token: string, operation: FidoOperation): Promise<RedeemedToken | Exclude<Redemption, { outcome: 'redeemed' }>>
  /** Revokes a token. Resolves to false where there is nothing to revoke. */
  revoke(token: string): Promise<boolean>
}

export interface FidoTokensDependencies {
  readonly store: TokenStore
  readonly credentials: CredentialStore
  readonly findStatement: UafRules['findStatement']
  readonly revocations: Revocations
  readonly clock: Clock
}

/** Tells whether a token can be redeemed at a time (milliseconds since the epoch). */
export function isRedeemable({ redeemedAt, revokedAt, createdAt, expiresAt }: TokenRecord, now: number): boolean {
  const isInTime = createdAt <= now + CLOCK_LEEWAY_MS && now < expiresAt
  return redeemedAt === undefined && revokedAt === undefined && isInTime
}

export function createFidoTokens(dependencies: FidoTokensDependencies): FidoTokens {
  const { store, credentials, findStatement, revocations, clock } = dependencies

  async function withRevocationOfUser(record: TokenRecord | undefined): Promise<TokenRecord | undefined> {
    await available(revocations.refreshIfStale())
    if (record?.username === undefined || record.revokedAt !== undefined) return record
    const { tokenDigest: tokenId, username, createdAt: issuedAt, knownRevocation } = record
    const revokedAt = revocations.revokedAt({ tokenId, holder: `user ${username}`, issuedAt, knownRevocation })
    return { ...record, revokedAt }
  }

  async function findByDigest(tokenDigest: string): Promise<TokenRecord | undefined> {
    return withRevocationOfUser(await available(store.findByToken(tokenDigest, clock())))
  }

  /** Returns the stored request with the keys of its user (U5). */
  async function addKeys({ operation, username, uafRequest }: TokenRecord): Promise<string> {
    if (username === undefined || operation === 'deregistration') return uafRequest
    const keys = await available(credentials.findByUser(username))
    if (operation === 'registration') return disallowKeys(uafRequest, keys)
    const { policy } = readSentRequest(uafRequest)
    const usable = keys.filter((key) => isTaken(describeCredential(key, findStatement), policy))
    // One key cannot stand for a set of authenticators.
    const isOfSets = policy.accepted.some((set) => set.length > 1)
    return usable.length === 0 || isOfSets ? uafRequest : acceptKeys(uafRequest, usable)
  }

  return {
    find: (token) => findByDigest(digestId(token)),
    findByDigest,
    async findBySession(sessionId) {
      return withRevocationOfUser(await available(store.findBySession(digestId(sessionId), clock())))
    },
    async redeem(token, operation) {
      const record = await findByDigest(digestId(token))
      if (!record) return { outcome: 'unknown' }
      if (record.revokedAt !== undefined) return { outcome: 'spent' }
      // Before the redemption: a failed read must not use up the token.
      const uafRequest = await addKeys(record)
      const redemption = await available(store.redeem(record.tokenDigest, operation, clock(), removalOf(record)))
      if (redemption.outcome !== 'redeemed') return redemption
      const { removed } = redemption
      const isDeregistration = operation === 'deregistration'
      return { ...redemption, uafRequest: isDeregistration ? listKeys(uafRequest, removed) : uafRequest }
    },
    async revoke(token) {
      const now = clock()
      const record = await available(store.findByToken(digestId(token), now))
      if (!record) return false
      // Also after expiry, since this process's clock may be ahead.
      const isNew = await available(store.revoke(digestId(token), now))
      // After expiry a redeemed token can still receive a response; one that was not redeemed has ended.
      const canEnd = record.redeemedAt === undefined ? now < record.expiresAt : record.outcome === undefined
      return isNew && canEnd
    },
  }
}

/** Returns the keys that the redemption of a deregistration deletes. */
function removalOf({ operation, username, uafRequest }: TokenRecord): KeyRemoval | undefined {
  if (operation !== 'deregistration' || username === undefined) return undefined
  return { username, selectors: selectorsOf(uafRequest) }
}
