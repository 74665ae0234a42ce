/** Something that is revoked before it expires. */
export interface Revocation {
  /** `token <id>`, or everything that was issued to one: `app <id>`, `account <name>`, `user <name>`. */
  readonly subject: string
  /** Milliseconds since the epoch: what was issued at that time or before is revoked. */
  readonly issuedUntil: number
  /** Milliseconds since the epoch: nothing that it is about lives longer, and neither does it. */
  readonly expires: number
}

/** Revocations that were added one after the other. */
interface RevocationPage {
  readonly revocations: readonly Revocation[]
  /** Where to go on; undefined before the first one. */
  readonly cursor: string | undefined
  /** Whether nothing follows yet. */
  readonly complete: boolean
}

/** How many revocations a page holds at most. */
export const REVOCATIONS_PER_PAGE = 1_000

/**
 * What is revoked, for every process to read along: each keeps all of it in memory (core/revocations.ts). What has been
 * added is durable before it is told. A store that cannot do its part rejects, within a second.
 */
export interface RevocationStore {
  /** @param now milliseconds since the epoch. */
  add(revocation: Revocation, now: number): Promise<void>
  /** Those that were added after a cursor that an earlier call gave, or all of them. May repeat some, never leaves one out. */
  since(cursor: string | undefined): Promise<RevocationPage>
  /** Clears away what has expired. */
  sweep(now: number): Promise<void>
  close(): Promise<void>
}
