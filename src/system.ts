import { randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from './core/clock.ts'
import type { Randomness } from './core/randomness.ts'

/** The one place that reads the machine's time. */
export const systemClock: Clock = () => Date.now()

/** Milliseconds since the process began: goes on evenly, whatever becomes of the clock. */
export const systemUptime: Clock = () => performance.now()

/** The one place that draws random bytes and ids. */
export const systemRandomness: Randomness = {
  bytes: (length) => randomBytes(length),
  uuid: () => randomUUID(),
}
