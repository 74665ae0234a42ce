import { setTimeout as sleep } from 'node:timers/promises'

// Before each file of tests: waits until the machine has time for it. A test that starves fails, and that would look as if it had
// noticed the change. Only where the tests look at the time at all (groups.ts).

/** The share of a processor that has to be there for whoever wants it; less is enough for none of these tests. */
const ENOUGH = 0.25

/** Milliseconds of work by which it is measured. */
const WORK = 30

/** Milliseconds between two attempts. */
const PAUSE = 2_000

const timed = process.env.TRIMINT_MUTATION_TIMED === 'true'

while (timed && measureShare() < ENOUGH) await sleep(PAUSE)

/** Works for a moment. @returns how much of that time a processor was there for it. */
function measureShare(): number {
  const begin = performance.now()
  const before = process.threadCpuUsage()
  let worked = 0
  while (worked < WORK) {
    const { user, system } = process.threadCpuUsage(before)
    worked = (user + system) / 1000
  }
  return worked / (performance.now() - begin)
}
