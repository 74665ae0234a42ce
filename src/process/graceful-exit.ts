import closeWithGrace from 'close-with-grace'
import type { LogDestination } from '../observability/log-destination.ts'
import { releaseSignal } from './signals.ts'

/** The steps of a shutdown after the drain may take this long. Then the process is ended. */
export const FORCE_EXIT_AFTER_MS = 8_000

const LOG_CLOSE_TIMEOUT_MS = 1_000

export interface Cause {
  readonly signal?: NodeJS.Signals | undefined
  readonly err?: Error | undefined
}

export interface GracefulExitOptions {
  /** Milliseconds until the process is ended, even if the shutdown has not finished. */
  readonly timeoutMs: number
  readonly log: LogDestination
  /** Signals that another process handles. */
  readonly ignoredSignals?: readonly ('SIGINT' | 'SIGTERM' | 'SIGQUIT')[]
}

/**
 * Runs a shutdown at the first signal or uncaught error, then ends the process. A second signal ends it at once.
 *
 * @returns a function that begins the same shutdown.
 */
export function exitGracefully(
  { timeoutMs, log, ignoredSignals = [] }: GracefulExitOptions,
  shutDown: (cause: Cause) => Promise<void>,
): (signal?: NodeJS.Signals) => void {
  let requestedBy: NodeJS.Signals | undefined
  const { close } = closeWithGrace(
    {
      delay: timeoutMs,
      logger: false,
      skip: ['SIGHUP', ...ignoredSignals],
      // Node would write the rest of the log before the exit, and wait for its reader.
      onSecondSignal: log.abandon,
      onSecondError: log.abandon,
      onTimeout: log.abandon,
    },
    async ({ signal, err }) => {
      try {
        await shutDown({ signal: (signal as NodeJS.Signals | undefined) ?? requestedBy, err })
      } finally {
        await log.close(LOG_CLOSE_TIMEOUT_MS)
      }
    },
  )
  const begin = (signal?: NodeJS.Signals): void => {
    requestedBy = signal
    close()
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    if (releaseSignal(signal) && !ignoredSignals.includes(signal)) begin(signal)
  }
  return begin
}
