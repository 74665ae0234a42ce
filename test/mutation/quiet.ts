import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

// Before each file of tests: waits until the machine has time for it. A test that starves fails, and that would look as if it had
// noticed the change.

/** The share of the processors that has to be left over, or taken by processes as patient as this one (`nice`). */
const ENOUGH = 0.35

/** Milliseconds that are looked at. */
const LOOK = 400

/** Milliseconds between two looks. */
const PAUSE = 2_000

while (process.platform === 'linux' && (await measureRoom()) < ENOUGH) await sleep(PAUSE)

async function measureRoom(): Promise<number> {
  const before = readTimes()
  await sleep(LOOK)
  const after = readTimes()
  return (after.room - before.room) / (after.all - before.all)
}

/** What the processors have done since the machine started (proc_stat(5)), in ticks. */
function readTimes(): { room: number; all: number } {
  const [first = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, ...rest] = first.split(/\s+/).slice(1, 9).map(Number)
  const room = nice + idle + wait
  return { room, all: room + user + system + rest.reduce((sum, ticks) => sum + ticks, 0) }
}
