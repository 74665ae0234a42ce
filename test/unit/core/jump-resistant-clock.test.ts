import { expect, test } from 'vitest'
import { createJumpResistantClock } from '../../../src/core/jump-resistant-clock.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const HOUR = 3_600_000
const MINUTE = 60_000

/** A clock that can jump, an uptime that cannot, and both of them going on. */
function createTime() {
  const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
  const settled = createJumpResistantClock(clock, uptime)
  const pass = (milliseconds: number) => {
    clock.advance(milliseconds)
    uptime.advance(milliseconds)
  }
  return { clock, settled, pass }
}

test('goes with a clock that goes on', () => {
  const { settled, pass } = createTime()
  expect(settled()).toBe(FROZEN_TIME)
  pass(HOUR)
  expect(settled()).toBe(FROZEN_TIME + HOUR)
})

test('does not follow a jump ahead that is taken back within an hour', () => {
  const { clock, settled, pass } = createTime()
  clock.advance(1_000 * HOUR)
  expect(settled()).toBe(FROZEN_TIME)
  pass(HOUR - 1)
  expect(settled()).toBe(FROZEN_TIME + HOUR - 1)
  clock.advance(-1_000 * HOUR)
  pass(MINUTE)
  expect(settled()).toBe(FROZEN_TIME + HOUR - 1 + MINUTE)
})

test('follows a jump ahead that has lasted for an hour since it was seen', () => {
  const { clock, settled, pass } = createTime()
  clock.advance(2 * HOUR)
  settled()
  pass(HOUR)
  expect(settled()).toBe(FROZEN_TIME + 3 * HOUR)
  pass(MINUTE)
  expect(settled()).toBe(FROZEN_TIME + 3 * HOUR + MINUTE)
})

test.each([
  { jump: 'ahead, of a second', by: 1_000 },
  { jump: 'back, of a day', by: -24 * HOUR },
])('follows a jump $jump at once', ({ by }) => {
  const { clock, settled, pass } = createTime()
  clock.advance(by)
  expect(settled()).toBe(FROZEN_TIME + by)
  pass(MINUTE)
  expect(settled()).toBe(FROZEN_TIME + by + MINUTE)
})

test('a second jump ahead begins nothing anew; one that was taken back in between does', () => {
  const { clock, settled, pass } = createTime()
  clock.advance(2 * HOUR)
  settled()
  pass(HOUR / 2)
  clock.advance(-2 * HOUR)
  settled()
  clock.advance(2 * HOUR)
  settled()
  pass(HOUR / 2)
  expect(settled()).toBe(FROZEN_TIME + HOUR)
  clock.advance(2 * HOUR)
  pass(HOUR / 2)
  expect(settled()).toBe(FROZEN_TIME + 5.5 * HOUR)
})
