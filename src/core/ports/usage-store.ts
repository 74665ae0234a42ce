/** When a token was used. */
export interface Use {
  readonly tokenId: string
  /** Milliseconds since the epoch. */
  readonly usedAt: number
  /** Milliseconds since the epoch: when the token expires. */
  readonly expires: number
}

/**
 * How often, and when last, signed tokens were used. All times are the service's clock, in milliseconds since the epoch. A count
 * that has been told is durable; it is kept until `RETENTION` (token-store.ts) after the token's expiry. A store that cannot do its part
 * rejects, within a second.
 */
export interface UsageStore {
  /**
   * Counts one use in one atomic step, unless there have been `limit` of them already.
   *
   * @returns how many there have been, with this one; undefined when none was left.
   */
  count(tokenId: string, limit: number, expires: number, now: number): Promise<number | undefined>
  /** How many uses have been counted. */
  counted(tokenId: string): Promise<number>
  /** Notes when tokens were used; the latest use stands. */
  touch(uses: readonly Use[], now: number): Promise<void>
  /** When a token was last used, as far as it was noted. */
  lastUse(tokenId: string): Promise<number | undefined>
  /** Clears away what is kept no longer. */
  sweep(now: number): Promise<void>
  close(): Promise<void>
}
