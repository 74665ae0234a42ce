/** How often a secret was wrong, and until when the failures count. */
export interface FailureCount {
  readonly key: string
  readonly failures: number
  /** Milliseconds since the epoch. */
  readonly expires: number
}

/** How many counts to list: blocks have a limit of their own, so that no number of other counts hides one. */
export interface ListLimits {
  readonly blocks: number
  readonly counts: number
}

/**
 * Stores the guard's counts. All times come from the caller's clock, in milliseconds since the epoch. An expired count
 * is treated as absent. Every step is atomic across processes. A store that fails rejects within a second.
 */
export interface FailedAttemptStore {
  /** Counts one failure. A new count expires after `lifetimeMs`; a running count keeps its expiry. */
  add(key: string, lifetimeMs: number, now: number): Promise<FailureCount>
  /** Makes a running count a block, with a new expiry; does nothing for a count that is gone. */
  block(key: string, expires: number, now: number): Promise<void>
  /**
   * Removes a count below `limit`; keeps one that another process has raised to it. Resolves to the failures that it
   * removed; 0 if none.
   */
  remove(key: string, limit: number): Promise<number>
  /** Takes failures out of a count below `limit`; removes a count of which none is left. */
  subtract(key: string, failures: number, limit: number): Promise<void>
  /** Lists running counts: blocks, then others, in each group those that expire last first. */
  list(now: number, limits: ListLimits): Promise<FailureCount[]>
  /** Deletes counts that expired more than `RETENTION_MS` (retention.ts) ago. */
  sweep(now: number): Promise<void>
  close(): Promise<void>
}
