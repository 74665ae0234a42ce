import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
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

/** Turns of the event loop in which replies that are due still arrive. */
const TURNS = 50

/**
 * Expects work in this process to end within this time. Compares with a timer, not with a clock: on a busy machine all
 * timers of the process are late, but in order.
 */
export async function expectWithin(limitMs: number, work: Promise<unknown>): Promise<void> {
  let isOver = false
  const ended = work.finally(() => {
    isOver = true
  })
  await Promise.race([ended, sleep(limitMs)])
  for (let turn = 0; turn < TURNS && !isOver; turn++) await nextTurn()
  expect(isOver, `within ${limitMs} ms`).toBe(true)
  await ended
}
