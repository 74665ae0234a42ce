/** How often a secret was guessed wrong, and until when that counts. */
export interface FailureCount {
  readonly key: string
  readonly failures: number
  /** Milliseconds since the epoch. */
  readonly expires: number
}

/**
 * Where the guard counts. All times are the service's clock, in milliseconds since the epoch; a count that has expired is
 * as good as none. Every step is atomic, whichever process takes it.
 */
export interface FailedAttemptStore {
  /** Counts one failure. A new count expires after `lifetime` milliseconds, a running one keeps its end. */
  add(key: string, lifetime: number, now: number): Promise<FailureCount>
  /** Gives a running count another end; one that has meanwhile gone stays gone. */
  extend(key: string, expires: number, now: number): Promise<void>
  /** Forgets a count that is below `limit`; whether it did. What has reached it elsewhere in the meantime stays. */
  remove(key: string, limit: number): Promise<boolean>
  /** Those that run, the most failures first: where there are too many to see, blocks are seen. */
  list(now: number, limit: number): Promise<FailureCount[]>
  close(): Promise<void>
}
