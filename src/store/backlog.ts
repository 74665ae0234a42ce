/** The calls that a store has not answered yet. */
export interface Backlog {
  /** Tells whether the oldest call has waited so long that one more would probably time out. */
  isOverdue(): boolean
  /** Adds a call. @returns a function to call after its answer. */
  add(): () => void
}

/** Creates an empty backlog. @param maxWaitMs how long the oldest call may wait before further ones are rejected. */
export function createBacklog(maxWaitMs: number): Backlog {
  // In the order of insertion, so the first is the oldest.
  const pending = new Set<{ readonly beganAt: number }>()
  return {
    isOverdue() {
      const [oldest] = pending
      return oldest !== undefined && performance.now() - oldest.beganAt > maxWaitMs
    },
    add() {
      const call = { beganAt: performance.now() }
      pending.add(call)
      return () => {
        pending.delete(call)
      }
    },
  }
}
