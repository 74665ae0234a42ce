import { expect, test } from 'vitest'
import { createJumpResistantClock, createProbation } from '../../../src/core/jump-resistant-clock.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const HOUR = 3_600_000
const MINUTE = 60_000

/** Creates a clock that can jump, an uptime that cannot, and `pass` to advance both. */
function createTime() {
  const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
  const resistant = createJumpResistantClock(clock, uptime)
  const pass = (milliseconds: number) => {
    clock.advance(milliseconds)
    uptime.advance(milliseconds)
  }
  return { clock, resistant, pass }
}

test('follows a clock without jumps', () => {
  const { resistant, pass } = createTime()
  expect(resistant()).toBe(FROZEN_TIME)
  pass(HOUR)
  expect(resistant()).toBe(FROZEN_TIME + HOUR)
})

test('returns whole milliseconds, which stores require, also during a jump', () => {
  const [clock, uptime] = [createFrozenClock(), createFrozenClock(5.3)]
  const resistant = createJumpResistantClock(clock, uptime)
  clock.advance(2 * HOUR)
  for (const [part, milliseconds] of [
    [0.4, 0],
    [0.9, 1],
    [2.1, 3],
  ] as const) {
    uptime.advance(part)
    expect(resistant()).toBe(FROZEN_TIME + milliseconds)
  }
})

test('does not follow a jump ahead that is corrected within an hour', () => {
  const { clock, resistant, pass } = createTime()
  clock.advance(1_000 * HOUR)
  expect(resistant()).toBe(FROZEN_TIME)
  pass(HOUR - 1)
  expect(resistant()).toBe(FROZEN_TIME + HOUR - 1)
  clock.advance(-1_000 * HOUR)
  pass(MINUTE)
  expect(resistant()).toBe(FROZEN_TIME + HOUR - 1 + MINUTE)
})

test('follows a jump ahead an hour after it was first seen', () => {
  const { clock, resistant, pass } = createTime()
  clock.advance(2 * HOUR)
  resistant()
  pass(HOUR)
  expect(resistant()).toBe(FROZEN_TIME + 3 * HOUR)
  pass(MINUTE)
  expect(resistant()).toBe(FROZEN_TIME + 3 * HOUR + MINUTE)
})

test.each([
  { jump: 'ahead, of a second', by: 1_000 },
  { jump: 'back, of a day', by: -24 * HOUR },
])('follows a jump $jump at once', ({ by }) => {
  const { clock, resistant, pass } = createTime()
  clock.advance(by)
  expect(resistant()).toBe(FROZEN_TIME + by)
  pass(MINUTE)
  expect(resistant()).toBe(FROZEN_TIME + by + MINUTE)
})

test('follows a jump ahead at once where it corrects a jump back of the last hour, and no further', () => {
  const { clock, resistant, pass } = createTime()
  clock.advance(-24 * HOUR)
  resistant()
  pass(MINUTE)
  clock.advance(-HOUR)
  resistant()
  pass(HOUR - 1)
  clock.advance(25 * HOUR)
  expect(resistant()).toBe(FROZEN_TIME + MINUTE + HOUR - 1)
  clock.advance(2_000)
  expect(resistant()).toBe(FROZEN_TIME + MINUTE + HOUR - 1)
})

test('holds back a jump ahead that undoes a jump back of more than an hour ago', () => {
  const { clock, resistant, pass } = createTime()
  clock.advance(-24 * HOUR)
  resistant()
  pass(HOUR)
  clock.advance(24 * HOUR)
  expect(resistant()).toBe(FROZEN_TIME - 23 * HOUR)
})

test('restarts the hour after a correction, but not after a second jump ahead', () => {
  const { clock, resistant, pass } = createTime()
  clock.advance(2 * HOUR)
  resistant()
  pass(HOUR / 2)
  clock.advance(-2 * HOUR)
  resistant()
  clock.advance(2 * HOUR)
  resistant()
  pass(HOUR / 2)
  expect(resistant()).toBe(FROZEN_TIME + HOUR)
  clock.advance(2 * HOUR)
  pass(HOUR / 2)
  expect(resistant()).toBe(FROZEN_TIME + 5.5 * HOUR)
})

test('takes an hour to trust the clock that it started with', () => {
  const uptime = createFrozenClock(5)
  const isProven = createProbation(uptime)
  uptime.advance(HOUR - 1)
  expect(isProven()).toBe(false)
  uptime.advance(1)
  expect(isProven()).toBe(true)
})
