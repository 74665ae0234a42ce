/** Something that is due for one request. */
type Step = () => void

/** Puts a step off until everybody else of the same turn has come as far. */
export type Batch = (step: Step) => void

/**
 * Takes the steps that several requests are due for one directly behind the other. Each request passes through more code than a
 * processor's caches hold; sixty of them, one after the other from end to end, have it fetched sixty times. Stage by stage, the same
 * sixty take little more than half the time (docs/performance.md).
 *
 * Steps run in the order they came. An error that escapes from one is thrown when all have been taken.
 *
 * @param schedule when they run: `setImmediate` where each comes with an event of its own, `process.nextTick` where they come from
 *   one stage to the next.
 */
export function createBatch(schedule: (run: () => void) => void): Batch {
  let waiting: Step[] = []

  function run(): void {
    const steps = waiting
    waiting = []
    for (const step of steps) {
      try {
        step()
      } catch (error) {
        process.nextTick(() => {
          throw error
        })
      }
    }
  }

  return (step) => {
    if (waiting.length === 0) schedule(run)
    waiting.push(step)
  }
}

/** In place of a stage, where each request has to be taken from end to end. */
export const noBatch: Batch = (step) => step()
