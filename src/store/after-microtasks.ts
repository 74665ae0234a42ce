/**
 * Runs a step after the current callback of the event loop and the promises that it has settled, before the next
 * callback. Calls made by that callback are complete by then, and none has waited for a turn of the event loop.
 */
export function afterMicrotasks(step: () => void): void {
  // Node runs ticks before promises; a tick queued by a promise runs after all of them.
  queueMicrotask(() => process.nextTick(step))
}
