import type { Clock } from './clock.ts'
import type { Revocation, RevocationStore } from './ports/revocation-store.ts'

/** Milliseconds for which what was read from the store is relied on. What another process revokes is in force here by then. */
export const MAX_STALENESS_MS = 1_000

const DAY = 86_400_000

/** Longer than what a configuration can ask for, in milliseconds: by then everything that was issued before has ended. */
const LONGEST_LIFETIMES = { app: 366 * DAY, account: 366 * DAY, user: 2 * DAY }

/** Milliseconds for which an entry outlives its token: clocks differ, and are set back. */
const MARGIN = 60_000

/** What can be named without knowing tokens. */
export type Holder = `${keyof typeof LONGEST_LIFETIMES} ${string}`

/** A token, as far as its revocation goes. */
interface Revocable {
  readonly tokenId: string
  readonly holder: Holder | undefined
  /** Milliseconds since the epoch; of a signed token the beginning of its second. */
  readonly issuedAt: number
}

/** What is revoked, held in memory and kept in step with a store. */
export interface Revocations {
  /**
   * Nothing where memory can be relied on, which it can as a rule; else a promise to read the store first.
   *
   * @throws Error when the store cannot be read: then nobody can say what is revoked.
   */
  refreshIfStale(): Promise<void> | undefined
  /** When a token was revoked, in milliseconds since the epoch, as far as is known: to be asked once {@link refreshIfStale}. */
  revokedAt(token: Revocable): number | undefined
  /** Whether anything that was issued to a user may be revoked, so that it is worth finding out to whom a token was. */
  concernUsers(): boolean
  /**
   * Revokes one token, here at once and elsewhere within {@link MAX_STALENESS_MS}.
   *
   * @param expires milliseconds since the epoch.
   * @returns whether there was anything to revoke.
   */
  revokeToken(tokenId: string, expires: number): Promise<boolean>
  /** Revokes everything that was issued to a holder up to now, in the same way. */
  revokeIssued(holder: Holder): Promise<void>
  /** Reads what others have revoked. */
  refresh(): Promise<void>
  /**
   * Clears away what has expired, here and in the store.
   *
   * @param now milliseconds since the epoch: a time that is not taken back (settled-clock.ts).
   */
  sweep(now: number): Promise<void>
}

export interface RevocationsDependencies {
  readonly store: RevocationStore
  readonly clock: Clock
  /** Milliseconds since any moment, whatever becomes of the clock. */
  readonly uptime: Clock
}

export function createRevocations({ store, clock, uptime }: RevocationsDependencies): Revocations {
  const known = new Map<string, Revocation>()
  let users = 0
  let cursor: string | undefined
  let readAt = { time: Number.NEGATIVE_INFINITY, uptime: Number.NEGATIVE_INFINITY }
  let reading: Promise<void> | undefined

  function remember(revocation: Revocation): void {
    const before = known.get(revocation.subject)
    if (!before && revocation.subject.startsWith('user ')) users += 1
    known.set(revocation.subject, {
      subject: revocation.subject,
      issuedUntil: Math.max(revocation.issuedUntil, before?.issuedUntil ?? 0),
      expires: Math.max(revocation.expires, before?.expires ?? 0),
    })
  }

  async function read(): Promise<void> {
    // Before the question: what is added while it is under way may be missing in the answer.
    const startedAt = { time: clock(), uptime: uptime() }
    for (;;) {
      const page = await store.since(cursor)
      for (const revocation of page.revocations) remember(revocation)
      cursor = page.cursor
      if (page.complete) break
    }
    readAt = startedAt
  }

  function refresh(): Promise<void> {
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }

  function refreshIfStale(): Promise<void> | undefined {
    // Both: a clock that is set back makes what is old look young, and uptime may stand still while the machine sleeps.
    const age = Math.max(clock() - readAt.time, uptime() - readAt.uptime)
    return age < MAX_STALENESS_MS ? undefined : refresh()
  }

  function revokedAt({ tokenId, holder, issuedAt }: Revocable): number | undefined {
    if (known.size === 0) return undefined
    const alone = known.get(`token ${tokenId}`)
    if (alone) return alone.issuedUntil
    const together = holder && known.get(holder)
    return together && issuedAt <= together.issuedUntil ? together.issuedUntil : undefined
  }

  async function add(revocation: Revocation, now: number): Promise<void> {
    await store.add(revocation, now)
    remember(revocation)
  }

  return {
    refreshIfStale,
    revokedAt,
    concernUsers: () => users > 0,
    async revokeToken(tokenId, expires) {
      const now = clock()
      if (expires <= now) return false
      const isNew = !known.has(`token ${tokenId}`)
      // Also when it is known: the store may have lost it, and others would never learn of it.
      await add({ subject: `token ${tokenId}`, issuedUntil: now, expires }, now)
      return isNew
    },
    async revokeIssued(holder) {
      const now = clock()
      const kind = holder.slice(0, holder.indexOf(' ')) as keyof typeof LONGEST_LIFETIMES
      await add({ subject: holder, issuedUntil: now, expires: now + LONGEST_LIFETIMES[kind] }, now)
    },
    refresh,
    async sweep(now) {
      const over = now - MARGIN
      for (const { subject, expires } of known.values()) {
        if (expires > over) continue
        known.delete(subject)
        if (subject.startsWith('user ')) users -= 1
      }
      await store.sweep(over)
    },
  }
}
