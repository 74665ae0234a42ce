import type { Clock } from '../core/clock.ts'

/** How long a successful write counts. */
const MAX_AGE_MS = 1_000

/**
 * Returns a function that rejects while a write fails. Callers within a second, or during a write, share one.
 *
 * @param uptime returns milliseconds of a monotonic clock.
 */
export function createWriteCheck(write: () => Promise<void>, uptime: Clock): () => Promise<void> {
  let writtenAt = Number.NEGATIVE_INFINITY
  let writing: Promise<void> | undefined

  async function writeNow(): Promise<void> {
    const startedAt = uptime()
    await write()
    writtenAt = startedAt
  }

  return async () => {
    if (uptime() - writtenAt < MAX_AGE_MS) return
    writing ??= writeNow().finally(() => {
      writing = undefined
    })
    await writing
  }
}
