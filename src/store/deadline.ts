/** A pause of this process or of the machine counts as one of these slices at most. */
const SLICES = 4

export interface DeadlineEvents {
  /** Called after three quarters of the time. */
  readonly onLate?: () => void
  readonly onExpiry: () => void
}

/**
 * Calls functions after a time, unless stopped before. Time in which this process did not run counts little: a store
 * on the same machine did not run either, or its answer has arrived and is not read yet.
 *
 * @returns a function that stops it.
 */
export function startDeadline(timeoutMs: number, { onLate, onExpiry }: DeadlineEvents): () => void {
  let left = SLICES
  let timer: NodeJS.Timeout
  let isStopped = false

  function start(): void {
    // A timer may fire before an answer that has arrived is read; setImmediate reads it first.
    timer = setTimeout(() => setImmediate(endSlice), timeoutMs / SLICES).unref()
  }

  function endSlice(): void {
    if (isStopped) return
    left -= 1
    if (left === 0) {
      onExpiry()
      return
    }
    if (left === 1) onLate?.()
    start()
  }

  start()
  return () => {
    isStopped = true
    clearTimeout(timer)
  }
}
