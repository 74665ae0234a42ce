import { setTimeout as sleep } from 'node:timers/promises'

/** How many rows one step clears away at most, so that none of them holds the store for long. */
export const SWEEP_STEP = 1_000

/** Milliseconds for everybody else between two steps. */
const SWEEP_PAUSE = 20

/**
 * Clears away step by step, until nothing is left.
 *
 * @param step clears away up to {@link SWEEP_STEP} and answers how many there were.
 */
export async function sweepAll(step: () => Promise<number>): Promise<void> {
  while ((await step()) === SWEEP_STEP) await sleep(SWEEP_PAUSE)
}
