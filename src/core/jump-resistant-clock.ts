import type { Clock } from './clock.ts'

/** Milliseconds ahead that are no jump. */
const TOLERANCE = 1_000

/** Milliseconds until a jump ahead is believed: longer than it takes somebody, or NTP, to set a clock right again. */
const HOLD = 3_600_000

/**
 * The time, for what cannot be taken back: clearing away. It follows a clock that is set ahead only when that has lasted, and one
 * that is set back at once. Otherwise a clock that is wrong for a moment would bring revoked tokens back to life.
 *
 * @param uptime milliseconds since any moment, whatever becomes of the clock.
 */
export function createJumpResistantClock(clock: Clock, uptime: Clock): Clock {
  let offset = clock() - uptime()
  let aheadSince: number | undefined
  return () => {
    const lasted = uptime()
    const current = clock() - lasted
    const isAhead = current - offset > TOLERANCE
    aheadSince = isAhead ? (aheadSince ?? lasted) : undefined
    if (aheadSince === undefined || lasted - aheadSince >= HOLD) {
      offset = current
      aheadSince = undefined
    }
    return offset + lasted
  }
}
