let handler: (() => void) | undefined
let isMissed = false

// From the first moment on: where nobody listens, SIGHUP ends a process.
process.on('SIGHUP', () => {
  if (handler) handler()
  else isMissed = true
})

/** Takes a step at each SIGHUP, and at once where one has come before. */
export function onHangup(step: () => void): void {
  handler = step
  if (isMissed) step()
}
