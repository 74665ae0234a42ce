import type { Clock } from '../core/clock.ts'

/** Returns the machine's time. */
export const systemClock: Clock = () => Date.now()

/** Returns the milliseconds since this process began. Steady: setting the machine's clock does not change it. */
export const systemUptime: Clock = () => performance.now()
