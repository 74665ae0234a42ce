/**
 * Takes a step when the callback of the event loop that is running now has come to its end, and with it every promise that waited for
 * nothing else: whoever writes as part of it has written by then, and nobody has waited for the next turn.
 */
export function afterMicrotasks(step: () => void): void {
  // Ticks come before promises, and a tick behind the promises comes when there are none left.
  queueMicrotask(() => process.nextTick(step))
}
