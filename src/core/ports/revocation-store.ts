/** A revocation of tokens before they expire. */
export interface Revocation {
  /** `token <id>`, or everything that was issued to a holder: `app <id>`, `account <name>`, `user <name>`. */
  readonly subject: string
  /** Milliseconds since the epoch. Tokens issued at that time or before are revoked. */
  readonly issuedUntil: number
  /** Milliseconds since the epoch. No token that it concerns lives longer. */
  readonly expires: number
}

export interface RevocationPage {
  /** In the order in which they were added. */
  readonly revocations: readonly Revocation[]
  /** Where the next page begins; undefined before the first revocation. */
  readonly cursor: string | undefined
  /** Whether this is the last page for now. */
  readonly complete: boolean
}

export const REVOCATIONS_PER_PAGE = 1_000

/**
 * Stores revocations, which each process caches in full (core/revocations.ts). An added revocation is durable once the
 * promise resolves. A store that fails rejects within a second.
 */
export interface RevocationStore {
  /** @param now milliseconds since the epoch. */
  add(revocation: Revocation, now: number): Promise<void>
  /** Reads revocations added after a cursor of an earlier page, or all. May repeat revocations, never omits one. */
  since(cursor: string | undefined): Promise<RevocationPage>
  /** Deletes revocations that expired at a time, or before. */
  sweep(time: number): Promise<void>
  close(): Promise<void>
}
