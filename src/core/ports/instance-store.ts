/**
 * What an instance announces for one configuration, every few seconds. While it changes configurations, it has an
 * announcement for each of them.
 */
export interface Announcement {
  /** Identifies the instance's configuration. */
  readonly id: string
  readonly instance: string
  /** Fingerprints of the live keys, the signing key first. */
  readonly keys: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expires: number
}

/** Until when tokens signed by a key can live, in milliseconds since the epoch, by the key's fingerprint. */
export type NeededUntil = ReadonlyMap<string, number>

/**
 * Stores which instances run with which keys, and until when each key is needed. All times come from the caller's
 * clock, in milliseconds since the epoch. A store that fails rejects within a second.
 */
export interface InstanceStore {
  /** Replaces the announcement with the same id. A key's `neededUntil` never decreases. */
  announce(announcement: Announcement, neededUntil: NeededUntil): Promise<void>
  /** Removes an announcement. Keys remain needed. */
  leave(id: string, neededUntil: NeededUntil): Promise<void>
  /** Lists announcements that have not expired. */
  running(now: number): Promise<Announcement[]>
  /** Returns until when each known signing key is needed. */
  neededUntil(): Promise<NeededUntil>
  /**
   * Deletes expired announcements, and keys that no instance holds `RETENTION_MS` (retention.ts) after they were
   * needed.
   */
  sweep(now: number): Promise<void>
  close(): Promise<void>
}
