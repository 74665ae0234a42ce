import type { FidoOperation } from '../fido/operation.ts'
import type { KeyName } from '../uaf/aaid.ts'
import type { Credential, CredentialUse, MAX_KEYS_PER_USER } from './credential-store.ts'
import { RETENTION_MS } from './retention.ts'

/**
 * A nevisFIDO token and its session. All times come from the caller's clock, in milliseconds since the epoch. Token and
 * session are identified by digests: reading the store does not allow a redemption.
 */
export interface TokenRecord {
  /** Digest of the token. */
  readonly tokenDigest: string
  /** Digest of the session's id. */
  readonly sessionDigest: string
  readonly operation: FidoOperation
  readonly username: string | undefined
  /** The caller: a client's id, or issuer and subject of a bearer token. */
  readonly client: string | undefined
  /** JSON text of the UAF request that a redemption returns. */
  readonly uafRequest: string
  readonly createdAt: number
  /**
   * The latest revocation of the user's tokens that the creating process knew of, by its `issuedUntil`; 0 for none.
   * Undefined in a record of an earlier version.
   */
  readonly knownRevocation: number | undefined
  /** The token can be redeemed before this time. */
  readonly expiresAt: number
  /** Milliseconds that the client has to respond after redemption. */
  readonly responseLifetime: number
  readonly redeemedAt: number | undefined
  readonly revokedAt: number | undefined
  /** How the session ended; undefined before a response has settled it. */
  readonly outcome: SessionOutcome | undefined
}

/** How a response settled a session. */
export interface SessionOutcome {
  /** Milliseconds since the epoch. */
  readonly settledAt: number
  /** UAF status code: 1200 for a success. */
  readonly statusCode: number
  readonly asmStatusCode?: number | undefined
  /** The keys that were registered or used. */
  readonly authenticators?: readonly KeyName[] | undefined
  /** The owner of these keys. */
  readonly username?: string | undefined
}

/** What settles a session, in one step: the outcome, and what it changes of keys. */
export interface Settlement {
  readonly outcome: SessionOutcome
  /** Keys of one user. */
  readonly registrations: readonly Credential[]
  readonly uses: readonly CredentialUse[]
}

/**
 * `conflict`: a key to register is registered, or a used one has changed since it was read. `ended`: the session is
 * unknown, not redeemed, revoked or settled. `full`: the user would have more than {@link MAX_KEYS_PER_USER} keys.
 * None of them has written anything.
 */
export type SettlementResult = 'settled' | 'conflict' | 'ended' | 'full'

/** Selects keys of a user: an empty `keyId` all keys of the AAID, an empty `aaid` all keys. */
export type KeySelector = KeyName

/** What a redemption deletes. */
export interface KeyRemoval {
  readonly username: string
  readonly selectors: readonly KeySelector[]
}

/** Returns until when a record is kept, in milliseconds since the epoch (N23). */
export function keptUntil({ expiresAt, redeemedAt, responseLifetime }: TokenRecord): number {
  const respondBy = redeemedAt === undefined ? 0 : redeemedAt + responseLifetime
  return Math.max(expiresAt, respondBy) + RETENTION_MS
}

/** How many records without a `client` the store may hold, and how many bytes of them. */
export interface AnonymousLimit {
  readonly maxRecords: number
  readonly maxBytes: number
}

/**
 * The outcome of a redemption. Losing a race is an ordinary outcome. Where several apply, the first in this order is
 * returned (N19 to N22): unknown, spent, expired, premature, misdirected.
 */
export type Redemption =
  | { readonly outcome: 'redeemed'; readonly record: TokenRecord; readonly removed: readonly Credential[] }
  /** Already redeemed or revoked. */
  | { readonly outcome: 'spent' }
  | { readonly outcome: 'expired' }
  /** Created more than {@link CLOCK_LEEWAY_MS} after the present time: the creating process's clock is ahead. */
  | { readonly outcome: 'premature' }
  /** For another operation, where the token can still be redeemed. */
  | { readonly outcome: 'misdirected' }
  | { readonly outcome: 'unknown' }

/** A token can be redeemed this long before its `createdAt`, since the clocks of two processes differ. */
export const CLOCK_LEEWAY_MS = 5_000

/**
 * Stores tokens. A write is durable once its promise resolves: on disk (SQLite) or acknowledged by the primary
 * and as many replicas as the URL asks for (Redis).
 * A store that fails rejects within a second. A record is treated as unknown after {@link keptUntil}, even before it is
 * deleted.
 */
export interface TokenStore {
  /**
   * Adds a record that has been neither redeemed nor revoked.
   *
   * @param limit for a record without a `client`: counts records that all instances have created and the store still
   *   holds. Redis may count a record for a minute more.
   * @returns false where the record would exceed the limit.
   */
  create(record: TokenRecord, limit?: AnonymousLimit): Promise<boolean>
  /**
   * Redeems a token at most once, in one step that is atomic across processes.
   *
   * @param removal keys that a successful redemption deletes in the same step.
   */
  redeem(
    tokenDigest: string,
    operation: FidoOperation,
    now: number,
    removal?: KeyRemoval | undefined,
  ): Promise<Redemption>
  /** Settles a redeemed session at most once, in one step that is atomic across processes. */
  settle(tokenDigest: string, settlement: Settlement, now: number): Promise<SettlementResult>
  /** Revokes a token, redeemed or not. Resolves to false where it is unknown or already revoked. */
  revoke(tokenDigest: string, now: number): Promise<boolean>
  findByToken(tokenDigest: string, now: number): Promise<TokenRecord | undefined>
  findBySession(sessionDigest: string, now: number): Promise<TokenRecord | undefined>
  /** Deletes records past their retention. Until the next sweep, no write deletes records that `now` keeps. */
  sweep(now: number): Promise<void>
  /** Deletes every record, those of other instances too. Only of a store that expires its records itself: its sweep does nothing. */
  clear?(): Promise<void>
  close(): Promise<void>
}
