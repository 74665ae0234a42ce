import type { Clock } from './clock.ts'

/** A smaller step ahead is not a jump. */
const TOLERANCE_MS = 1_000

/** How long a jump may be wrong: an operator or NTP needs time to correct it. */
const HOLD_MS = 3_600_000

/**
 * Creates a clock for work that cannot be undone, such as sweeping a store. It follows a jump ahead after an hour, and
 * a jump back at once. Otherwise a wrong clock could delete revocations of tokens that are still alive. A jump ahead
 * that corrects a jump back of the last hour is followed at once.
 *
 * @param uptime a monotonic clock: milliseconds since an arbitrary time.
 */
export function createJumpResistantClock(clock: Clock, uptime: Clock): Clock {
  let offset = clock() - uptime()
  let aheadSince: number | undefined
  /** The offset before the clock was last set back. */
  let before = { offset, trustedUntil: Number.NEGATIVE_INFINITY }
  return () => {
    const elapsed = uptime()
    const currentOffset = clock() - elapsed
    const trusted = elapsed < before.trustedUntil ? Math.max(offset, before.offset) : offset
    if (offset - currentOffset > TOLERANCE_MS) before = { offset: trusted, trustedUntil: elapsed + HOLD_MS }
    const isAhead = currentOffset - trusted > TOLERANCE_MS
    aheadSince = isAhead ? (aheadSince ?? elapsed) : undefined
    if (aheadSince === undefined || elapsed - aheadSince >= HOLD_MS) {
      offset = currentOffset
      aheadSince = undefined
    }
    // Uptime has parts of milliseconds. Stores take whole ones.
    return Math.round(offset + elapsed)
  }
}

/**
 * Returns a function that tells whether a wrong clock has had an hour since now to be corrected, as a jump ahead has. A
 * process that has just started cannot tell a wrong clock from a right one.
 *
 * @param uptime as {@link createJumpResistantClock}.
 */
export function createProbation(uptime: Clock): () => boolean {
  const startedAt = uptime()
  return () => uptime() - startedAt >= HOLD_MS
}
