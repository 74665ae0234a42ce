type Handler = (signal: NodeJS.Signals) => void

// Without a listener, these signals end the process; as process 1 of a container, they are lost. So this file is loaded
// first.
const SIGNALS = ['SIGHUP', 'SIGTERM', 'SIGINT'] as const
type HandledSignal = (typeof SIGNALS)[number]

const received = new Set<HandledSignal>()
const handlers = new Map<HandledSignal, Handler>()

for (const signal of SIGNALS) process.on(signal, handle)
// Without a listener, Node opens a port for debuggers, which run any code (nodejs.org/api/process.html#signal-events).
process.on('SIGUSR1', () => undefined)

function handle(signal: NodeJS.Signals): void {
  const handler = handlers.get(signal as HandledSignal)
  if (handler) handler(signal)
  else received.add(signal as HandledSignal)
}

/** Calls a handler for each further signal, and at once for one that was received before. */
export function onSignal(signal: HandledSignal, handler: Handler): void {
  handlers.set(signal, handler)
  if (received.delete(signal)) handler(signal)
}

/** Stops handling a signal here; returns whether it was received before. */
export function releaseSignal(signal: HandledSignal): boolean {
  process.removeListener(signal, handle)
  return received.delete(signal)
}
