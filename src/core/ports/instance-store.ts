/**
 * What a process says of itself under one configuration. It says it again every few seconds; while it changes from one
 * configuration to the next, it speaks for both.
 */
export interface Announcement {
  /** Of this process under this configuration, and of nothing else. */
  readonly id: string
  /** The process. */
  readonly instance: string
  /** The fingerprints of the keys that are live, the one that signs first. */
  readonly keys: readonly string[]
  /** Milliseconds since the epoch: until then it holds. */
  readonly expires: number
}

/** Until when tokens that a key has signed can live, in milliseconds since the epoch, by the key's fingerprint. */
export type NeededUntil = ReadonlyMap<string, number>

/**
 * Which processes are running on this store with which keys, and until when each key is needed. All times are the service's
 * clock. A store that cannot do its part rejects, within a second.
 */
export interface InstanceStore {
  /** Takes the place of what the same id has announced. A key is never needed for less long than was told before. */
  announce(announcement: Announcement, neededUntil: NeededUntil): Promise<void>
  /** Takes back what an id has announced; what it has signed goes on being needed. */
  leave(id: string, neededUntil: NeededUntil): Promise<void>
  /** What holds at a time (milliseconds since the epoch). */
  running(now: number): Promise<Announcement[]>
  /** All that is known of keys that sign or have signed. */
  neededUntil(): Promise<NeededUntil>
  /** Clears away what holds no longer, and `RETENTION` (token-store.ts) after they were needed the keys that nobody has any more. */
  sweep(now: number): Promise<void>
  close(): Promise<void>
}
