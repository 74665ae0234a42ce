import { setTimeout as sleep } from 'node:timers/promises'

/** Rows that one step deletes at most: other writes wait for a step. */
export const SWEEP_STEP = 256

const STEP_PAUSE_MS = 20

/**
 * Repeats a step until nothing is left, with pauses for other writes.
 *
 * @param step deletes up to {@link SWEEP_STEP} rows and returns how many.
 */
export async function sweepAll(step: () => Promise<number>): Promise<void> {
  while ((await step()) === SWEEP_STEP) await sleep(STEP_PAUSE_MS)
}
