export interface Use {
  readonly tokenId: string
  /** Milliseconds since the epoch. */
  readonly usedAt: number
  /** Milliseconds since the epoch: when the token expires. */
  readonly expires: number
}

/**
 * Stores how often, and when last, signed tokens were used. All times come from the caller's clock, in milliseconds
 * since the epoch. A count is durable once its promise resolves, and is kept for `RETENTION_MS` (retention.ts) after
 * the token expires. A store that fails rejects within a second.
 */
export interface UsageStore {
  /**
   * Counts one use, in one atomic step, unless there have been `limit` uses.
   *
   * @returns the number of uses with this one, or undefined where the limit was reached.
   */
  count(tokenId: string, limit: number, expires: number, now: number): Promise<number | undefined>
  /** Returns how many uses have been counted. */
  counted(tokenId: string): Promise<number>
  /** Notes when tokens were used, keeping the latest time of each. */
  touch(uses: readonly Use[], now: number): Promise<void>
  /** Returns the latest noted use, in milliseconds since the epoch. */
  lastUse(tokenId: string): Promise<number | undefined>
  /** Deletes counts and uses past their retention. */
  sweep(now: number): Promise<void>
  /** Deletes every record, those of other instances too. Only of a store that expires its records itself: its sweep does nothing. */
  clear?(): Promise<void>
  close(): Promise<void>
}
