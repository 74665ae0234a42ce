import type { Clock } from './clock.ts'
import { RETENTION_MS } from './ports/retention.ts'
import type { Revocation, RevocationStore } from './ports/revocation-store.ts'

/** How long the cache is used without a read: a revocation by another process takes effect within that time. */
export const MAX_STALENESS_MS = 1_000

const DAY_MS = 86_400_000

/** More than the longest lifetime of a holder's tokens that a configuration can set. */
const MAX_LIFETIME_MS = { app: 366 * DAY_MS, account: 366 * DAY_MS, user: 2 * DAY_MS }

/** The subject that tokens are issued to. It can be revoked without knowing the tokens. */
export type Holder = `${keyof typeof MAX_LIFETIME_MS} ${string}`

/** The properties of a token that decide on its revocation. */
interface Revocable {
  readonly tokenId: string
  readonly holder: Holder | undefined
  /** Milliseconds since the epoch. Signed tokens round it down to a second. */
  readonly issuedAt: number
  /**
   * The holder's {@link Revocations.latestOf} when the token was issued, where it was recorded. A later revocation then
   * covers the token, even if the clock of the issuing process was wrong.
   */
  readonly knownRevocation?: number | undefined
}

/** A cache of all revocations in a store. */
export interface Revocations {
  /**
   * Reads the store where the cache is older than {@link MAX_STALENESS_MS}.
   *
   * @throws Error when the store fails or is too slow: a token whose revocation is unknown must be rejected.
   */
  refreshIfStale(): Promise<void>
  /** Returns when a token was revoked, in milliseconds since the epoch. Call {@link refreshIfStale} first. */
  revokedAt(token: Revocable): number | undefined
  /**
   * Returns the latest known revocation of everything that was issued to a holder, in milliseconds since the epoch, or 0.
   * Call {@link refreshIfStale} first.
   */
  latestOf(holder: Holder): number
  /** Tells whether a revocation of any user's tokens is known, so that a token's user matters. */
  concernUsers(): boolean
  /**
   * Revokes one token: at once in this process, within {@link MAX_STALENESS_MS} in others.
   *
   * An expired token is revoked as well, up to `RETENTION_MS` after its expiry: this process's clock may be ahead.
   *
   * @param expires milliseconds since the epoch.
   * @returns false where the token has expired or is already revoked.
   */
  revokeToken(tokenId: string, expires: number): Promise<boolean>
  /** Revokes everything that was issued to a holder up to now. @throws Error when the store fails. */
  revokeIssued(holder: Holder): Promise<void>
  /** Reads new revocations from the store. @throws Error when the store fails. */
  refresh(): Promise<void>
  /**
   * Deletes revocations that expired `RETENTION_MS` ago, from the cache and from the store.
   *
   * @param now milliseconds since the epoch, from a jump-resistant clock (jump-resistant-clock.ts).
   */
  sweep(now: number): Promise<void>
}

export interface RevocationsDependencies {
  readonly store: RevocationStore
  readonly clock: Clock
  /** A monotonic clock: milliseconds since an arbitrary time. */
  readonly uptime: Clock
}

export function createRevocations({ store, clock, uptime }: RevocationsDependencies): Revocations {
  const known = new Map<string, Revocation>()
  let revokedUsers = 0
  let cursor: string | undefined
  let readAt = { time: Number.NEGATIVE_INFINITY, uptime: Number.NEGATIVE_INFINITY }
  let reading: Promise<void> | undefined

  function remember(revocation: Revocation): void {
    const before = known.get(revocation.subject)
    if (!before && revocation.subject.startsWith('user ')) revokedUsers += 1
    known.set(revocation.subject, {
      subject: revocation.subject,
      issuedUntil: Math.max(revocation.issuedUntil, before?.issuedUntil ?? 0),
      expires: Math.max(revocation.expires, before?.expires ?? 0),
    })
  }

  async function read(): Promise<void> {
    // The time before the read: revocations added during it may be missing.
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

  function isStale(): boolean {
    // Both clocks: the first may be set back, and uptime may stand still while the machine sleeps.
    return Math.max(clock() - readAt.time, uptime() - readAt.uptime) >= MAX_STALENESS_MS
  }

  async function refreshIfStale(): Promise<void> {
    if (!isStale()) return
    await refresh()
    // The read that was in progress may have begun too long ago.
    if (isStale()) await refresh()
    if (isStale()) throw new Error(`reading revocations takes longer than ${MAX_STALENESS_MS} ms`)
  }

  function revokedAt(token: Revocable): number | undefined {
    if (known.size === 0) return undefined
    const single = known.get(`token ${token.tokenId}`)
    if (single) return single.issuedUntil
    const ofHolder = token.holder && known.get(token.holder)
    return ofHolder && isCovered(token, ofHolder) ? ofHolder.issuedUntil : undefined
  }

  function latestOf(holder: Holder): number {
    return known.get(holder)?.issuedUntil ?? 0
  }

  async function add(revocation: Revocation, now: number): Promise<void> {
    await store.add(revocation, now)
    remember(revocation)
  }

  return {
    refreshIfStale,
    revokedAt,
    latestOf,
    concernUsers: () => revokedUsers > 0,
    async revokeToken(tokenId, expires) {
      const now = clock()
      if (expires <= now - RETENTION_MS) return false
      const isNew = !known.has(`token ${tokenId}`)
      // Add a known one again: the store may have lost it, and then other processes would not learn of it.
      await add({ subject: `token ${tokenId}`, issuedUntil: now, expires }, now)
      return isNew && now < expires
    },
    async revokeIssued(holder) {
      await refresh()
      const now = clock()
      const kind = holder.slice(0, holder.indexOf(' ')) as keyof typeof MAX_LIFETIME_MS
      // Later than the one before, whatever the clocks: tokens are covered that were issued between the two.
      const issuedUntil = Math.max(now, latestOf(holder) + 1)
      await add({ subject: holder, issuedUntil, expires: now + MAX_LIFETIME_MS[kind] }, now)
    },
    refresh,
    async sweep(now) {
      const expiredBy = now - RETENTION_MS
      for (const { subject, expires } of known.values()) {
        if (expires > expiredBy) continue
        known.delete(subject)
        if (subject.startsWith('user ')) revokedUsers -= 1
      }
      await store.sweep(expiredBy)
    },
  }
}

function isCovered({ issuedAt, knownRevocation }: Revocable, { issuedUntil, expires }: Revocation): boolean {
  if (knownRevocation === undefined) return issuedAt <= issuedUntil
  // The issuing process may have deleted a revocation that has expired, which this process still has.
  return knownRevocation < issuedUntil && issuedAt < expires
}
