import { setTimeout as sleep } from 'node:timers/promises'

// Waits before each test file until the machine has time for it: a test that fails for lack of processor time would
// count as one that killed the mutant. Only groups whose tests measure time need it (groups.ts).

/** The share of a core that these tests need. */
const MIN_SHARE = 0.25

/** How much processor time to use for measuring the share. */
const WORK_MS = 30

const PAUSE_MS = 2_000

const timed = process.env.TRIMINT_MUTATION_TIMED === 'true'

while (timed && measureShare() < MIN_SHARE) await sleep(PAUSE_MS)

/** Measures the share of a core that this process gets by working for a moment. */
function measureShare(): number {
  const begin = performance.now()
  const before = process.threadCpuUsage()
  let worked = 0
  while (worked < WORK_MS) {
    const { user, system } = process.threadCpuUsage(before)
    worked = (user + system) / 1000
  }
  return worked / (performance.now() - begin)
}
