/** How often a secret was wrong, and until when the failures count. */
export interface FailureCount {
  readonly key: string
  readonly failures: number
  /** Milliseconds since the epoch. */
  readonly expires: number
}

/**
 * Stores the guard's counts. All times come from the caller's clock, in milliseconds since the epoch. An expired count
 * is treated as absent. Every step is atomic across processes. A store that fails rejects within a second.
 */
export interface FailedAttemptStore {
  /** Counts one failure. A new count expires after `lifetimeMs`; a running count keeps its expiry. */
  add(key: string, lifetimeMs: number, now: number): Promise<FailureCount>
  /** Changes the expiry of a running count; does nothing for one that is gone. */
  extend(key: string, expires: number, now: number): Promise<void>
  /**
   * Removes a count below `limit`; keeps one that another process has raised to it. Resolves to whether it removed one.
   */
  remove(key: string, limit: number): Promise<boolean>
  /** Lists running counts, most failures first, so that a limited list contains the blocks. */
  list(now: number, limit: number): Promise<FailureCount[]>
  close(): Promise<void>
}
