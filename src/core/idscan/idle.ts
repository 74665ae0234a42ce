import type { Clock } from '../clock.ts'
import type { UsageStore, Use } from '../ports/usage-store.ts'
import type { IdscanClaims } from './verify.ts'

/** A use is in the store at latest after this part of the time-out (I33). */
const RESOLUTION = 1 / 10

/** How many uses are written at once at most: as many as a store takes in good time. */
const LARGEST_WRITE = 1_000

/** Ends tokens that nobody uses, wherever they are used. */
export interface IdleTimeout {
  /** Whether a token has not been used for too long. Asks the store only where this process does not know better. */
  isIdle(claims: IdscanClaims): boolean | Promise<boolean>
  /** Notes a use. In the store later, see {@link flush}. */
  use(claims: IdscanClaims): void
  /**
   * Writes uses to the store, those that are due or all of them. Each token's at most once in a tenth of the time-out, but the
   * latest use is always written in the end: whoever looks when the time-out is over sees it.
   */
  flush(which: 'due' | 'all'): Promise<void>
}

/** What this process knows of a token; times in milliseconds since the epoch. */
interface Known {
  readonly expires: number
  usedAt: number
  /** The use that is in the store; at first none, and the time of issue counts. */
  storedUse: number
  /** When that was written. */
  writtenAt: number
}

/** @param timeout seconds. */
export function createIdleTimeout(timeout: number, store: UsageStore, clock: Clock): IdleTimeout {
  const period = timeout * 1000
  const pause = period * RESOLUTION
  const known = new Map<string, Known>()

  async function isIdleEverywhere({ jti }: IdscanClaims): Promise<boolean> {
    const usedAt = await store.lastUse(jti)
    return usedAt === undefined || clock() - usedAt >= period
  }

  return {
    isIdle(claims) {
      // Every use is later than the issue, so a token that is younger than the time-out cannot be idle.
      const usedAt = known.get(claims.jti)?.usedAt ?? claims.iat * 1000
      return clock() - usedAt < period ? false : isIdleEverywhere(claims)
    },

    use({ jti, iat, exp }) {
      const entry = known.get(jti)
      if (entry) entry.usedAt = clock()
      else known.set(jti, { expires: exp * 1000, usedAt: clock(), storedUse: iat * 1000, writtenAt: iat * 1000 })
    },

    async flush(which) {
      const now = clock()
      const due: { entry: Known; use: Use }[] = []
      for (const [tokenId, entry] of known) {
        if (which === 'due' && now - entry.writtenAt < pause) continue
        // What the store knows need not be known here, too.
        if (entry.usedAt <= entry.storedUse) known.delete(tokenId)
        else due.push({ entry, use: { tokenId, usedAt: entry.usedAt, expires: entry.expires } })
      }
      for (let start = 0; start < due.length; start += LARGEST_WRITE) {
        const some = due.slice(start, start + LARGEST_WRITE)
        const uses = some.map(({ use }) => use)
        await store.touch(uses, now)
        for (const { entry, use } of some) Object.assign(entry, { storedUse: use.usedAt, writtenAt: now })
      }
    },
  }
}
