import type { FidoOperation } from '../fido/operation.ts'

/**
 * A nevisFIDO token and the session that was made with it. All times are the service's clock, in milliseconds since the
 * epoch. What identifies token and session are digests: whoever reads the store can redeem nothing.
 */
export interface TokenRecord {
  /** Digest of the token. */
  readonly tokenDigest: string
  /** Digest of the session's id. */
  readonly sessionDigest: string
  readonly operation: FidoOperation
  readonly username: string | undefined
  /** The caller who had it issued: a client's id, or the issuer and subject of a bearer token. */
  readonly client: string | undefined
  /** What the redemption hands out: JSON text of the UAF request. */
  readonly uafRequest: string
  readonly createdAt: number
  /** It can be redeemed before this time. */
  readonly expiresAt: number
  /** How long an answer is waited for after the redemption, in milliseconds. */
  readonly responseLifetime: number
  readonly redeemedAt: number | undefined
  readonly revokedAt: number | undefined
}

/**
 * What came of a redemption. Losing is an ordinary result. Where several hold, the first of them in this order is told (N19 to
 * N22): unknown, spent, expired, misdirected.
 */
export type Redemption =
  | { readonly outcome: 'redeemed'; readonly record: TokenRecord }
  /** Redeemed before, or revoked. */
  | { readonly outcome: 'spent' }
  | { readonly outcome: 'expired' }
  /** Of another operation; still redeemable at its own. */
  | { readonly outcome: 'misdirected' }
  | { readonly outcome: 'unknown' }

/** For how long after its expiry a record is told apart from one that never was (N23), in milliseconds. */
export const RETENTION = 3_600_000

/**
 * Where tokens live. A promise that is fulfilled is kept: what it says has been written is on disk (SQLite) or acknowledged by
 * the primary (Redis). A store that cannot do its part rejects, within a second. `RETENTION` after its `expiresAt` a
 * record is as if it had never been, whether or not it has been cleared away.
 */
export interface TokenStore {
  /** Writes a record that has neither been redeemed nor revoked. */
  create(record: TokenRecord): Promise<void>
  /** Redeems at most once, whoever else tries at the same time, in one atomic step. */
  redeem(tokenDigest: string, operation: FidoOperation, now: number): Promise<Redemption>
  /** Revokes what has not been revoked before, whether or not it was redeemed; false where there is nothing to revoke. */
  revoke(tokenDigest: string, now: number): Promise<boolean>
  findByToken(tokenDigest: string, now: number): Promise<TokenRecord | undefined>
  findBySession(sessionDigest: string, now: number): Promise<TokenRecord | undefined>
  /** Clears away what is kept no longer. From then on, no write clears away what is kept longer than that either. */
  sweep(now: number): Promise<void>
  close(): Promise<void>
}
