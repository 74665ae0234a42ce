import type { Clock } from '../../src/core/clock.ts'

/** A clock that only a test moves. */
export interface FrozenClock extends Clock {
  /** Milliseconds since the epoch. */
  set(now: number): void
  advance(milliseconds: number): void
}

/** 2026-01-02T03:04:05.678Z: not on a whole second, so that rounding shows. */
export const FROZEN_TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

export function createFrozenClock(start = FROZEN_TIME): FrozenClock {
  let now = start
  return Object.assign(() => now, {
    set: (time: number) => {
      now = time
    },
    advance: (milliseconds: number) => {
      now += milliseconds
    },
  })
}
