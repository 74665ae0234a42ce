import type { FidoOperation } from '../fido/operation.ts'

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
  | { readonly outcome: 'redeemed'; readonly record: TokenRecord }
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
 * Stores tokens. A write is durable once its promise resolves: on disk (SQLite) or acknowledged by the primary (Redis).
 * A store that fails rejects within a second. A record is treated as unknown `RETENTION_MS` after its `expiresAt`, even
 * before it is deleted.
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
  /** Redeems a token at most once, in one step that is atomic across processes. */
  redeem(tokenDigest: string, operation: FidoOperation, now: number): Promise<Redemption>
  /** Revokes a token, redeemed or not. Resolves to false where it is unknown or already revoked. */
  revoke(tokenDigest: string, now: number): Promise<boolean>
  findByToken(tokenDigest: string, now: number): Promise<TokenRecord | undefined>
  findBySession(sessionDigest: string, now: number): Promise<TokenRecord | undefined>
  /** Deletes records past their retention. Until the next sweep, no write deletes records that `now` keeps. */
  sweep(now: number): Promise<void>
  close(): Promise<void>
}
