import type { Clock } from './clock.ts'

/** A smaller step ahead is not a jump. */
const TOLERANCE_MS = 1_000

/** The clock follows a jump ahead after this time, which leaves an operator or NTP time to correct it. */
const HOLD_MS = 3_600_000

/**
 * Creates a clock for work that cannot be undone, such as sweeping a store. It follows a jump ahead after an hour, and
 * a jump back at once. Otherwise a wrong clock could delete revocations of tokens that are still alive.
 *
 * @param uptime a monotonic clock: milliseconds since an arbitrary time.
 */
export function createJumpResistantClock(clock: Clock, uptime: Clock): Clock {
  let offset = clock() - uptime()
  let aheadSince: number | undefined
  return () => {
    const elapsed = uptime()
    const currentOffset = clock() - elapsed
    const isAhead = currentOffset - offset > TOLERANCE_MS
    aheadSince = isAhead ? (aheadSince ?? elapsed) : undefined
    if (aheadSince === undefined || elapsed - aheadSince >= HOLD_MS) {
      offset = currentOffset
      aheadSince = undefined
    }
    return offset + elapsed
  }
}
