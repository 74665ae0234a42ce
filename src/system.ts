import { randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from './core/clock.ts'
import type { Randomness } from './core/randomness.ts'

/** The one place that reads the machine's time. */
export const systemClock: Clock = () => Date.now()

/** The one place that draws random bytes and ids. */
export const systemRandomness: Randomness = {
  bytes: (length) => randomBytes(length),
  uuid: () => randomUUID(),
}
