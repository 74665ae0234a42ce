import { randomFillSync, randomUUID } from 'node:crypto'
import type { Clock } from './core/clock.ts'
import type { Randomness } from './core/randomness.ts'

/** The one place that reads the machine's time. */
export const systemClock: Clock = () => Date.now()

/** Milliseconds since the process began: goes on evenly, whatever becomes of the clock. */
export const systemUptime: Clock = () => performance.now()

/** Random bytes that nobody has been given yet: drawing them by the dozen costs a multiple of drawing many at once. */
const pool = Buffer.alloc(4_096)
let given = pool.length

function drawBytes(length: number): Buffer {
  if (length > pool.length) return randomFillSync(Buffer.alloc(length))
  if (given + length > pool.length) {
    randomFillSync(pool)
    given = 0
  }
  const bytes = Buffer.from(pool.subarray(given, given + length))
  pool.fill(0, given, given + length)
  given += length
  return bytes
}

/** The one place that draws random bytes and ids. */
export const systemRandomness: Randomness = { bytes: drawBytes, uuid: () => randomUUID() }
