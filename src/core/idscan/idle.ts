import type { Clock } from '../clock.ts'
import type { UsageStore, Use } from '../ports/usage-store.ts'
import type { IdscanClaims } from './verify.ts'

/** A token's uses are written once in this part of the time-out, so the store is at most that much behind (I33). */
const WRITE_INTERVAL_RATIO = 1 / 10

/** A larger write would block the store for too long. */
const MAX_USES_PER_WRITE = 1_000

/** Ends tokens that have not been used on any instance for too long. */
export interface IdleTimeout {
  /**
   * Tells whether a token has been unused for the whole time-out. Reads the store only if this process knows no recent
   * use.
   */
  isIdle(claims: IdscanClaims): Promise<boolean>
  /** Notes a use in memory; {@link flush} writes it. */
  use(claims: IdscanClaims): void
  /**
   * Writes noted uses to the store: all, or those that are due. A token is due at most once in a tenth of the time-out.
   * Its latest use is always written in the end, so another instance sees it before the time-out.
   *
   * @throws Error when the store fails; a later call writes the rest.
   */
  flush(which: 'due' | 'all'): Promise<void>
}

/** What this process knows of a token. Times are in milliseconds since the epoch. */
interface KnownToken {
  readonly expires: number
  usedAt: number
  /** The use that the store has; the time of issue before the first one. */
  storedUse: number
  /** When that use was written. */
  writtenAt: number
}

/** Creates an idle time-out. */
export function createIdleTimeout(timeoutSeconds: number, store: UsageStore, clock: Clock): IdleTimeout {
  const timeoutMs = timeoutSeconds * 1000
  const writeIntervalMs = timeoutMs * WRITE_INTERVAL_RATIO
  const known = new Map<string, KnownToken>()

  return {
    async isIdle({ jti, iat }) {
      // The issue counts as a use, so a token younger than the time-out is not idle.
      const knownUse = known.get(jti)?.usedAt ?? iat * 1000
      if (clock() - knownUse < timeoutMs) return false
      const lastUse = await store.lastUse(jti)
      return lastUse === undefined || clock() - lastUse >= timeoutMs
    },

    use({ jti, iat, exp }) {
      const token = known.get(jti)
      if (token) token.usedAt = clock()
      else known.set(jti, { expires: exp * 1000, usedAt: clock(), storedUse: iat * 1000, writtenAt: iat * 1000 })
    },

    async flush(which) {
      const now = clock()
      const due: { token: KnownToken; use: Use }[] = []
      for (const [tokenId, token] of known) {
        if (which === 'due' && now - token.writtenAt < writeIntervalMs) continue
        // The store has the latest use, so memory need not keep it.
        if (token.usedAt <= token.storedUse) known.delete(tokenId)
        else due.push({ token, use: { tokenId, usedAt: token.usedAt, expires: token.expires } })
      }
      for (let start = 0; start < due.length; start += MAX_USES_PER_WRITE) {
        const batch = due.slice(start, start + MAX_USES_PER_WRITE)
        const uses = batch.map(({ use }) => use)
        await store.touch(uses, now)
        for (const { token, use } of batch) Object.assign(token, { storedUse: use.usedAt, writtenAt: now })
      }
    },
  }
}
