import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Listener } from '../http/listener.ts'

/** Each step after the drain may take this long. */
const SHUTDOWN_STEP_TIMEOUT_MS = 1_500

export interface DrainOptions {
  /** Milliseconds between turning not ready and closing the port, for load balancers to notice. */
  readonly delayMs: number
  /** Milliseconds until requests in progress are abandoned; includes the delay. */
  readonly timeoutMs: number
  /** The signal that requested the shutdown, for the log. */
  readonly signal?: NodeJS.Signals | undefined
  /** Ends the delay early. */
  readonly hurry: AbortSignal
}

/** Waits while the port still serves, then closes it and waits until every request is answered or the time is up. */
export async function drain(listener: Listener, logger: Logger, options: DrainOptions): Promise<void> {
  const { timeoutMs, signal, hurry } = options
  const delayMs = Math.min(options.delayMs, timeoutMs)
  logger.info({ event: 'server.draining', signal, delay: delayMs })
  await sleep(delayMs, undefined, { signal: hurry }).catch(() => undefined)
  logger.info({ event: 'server.closing', signal })
  const deadline = new AbortController()
  const closed = listener.close().then(() => true)
  const timedOut = sleep(timeoutMs - delayMs, false, { signal: deadline.signal }).catch(() => false)
  const isClosed = await Promise.race([closed, timedOut])
  deadline.abort()
  if (isClosed) return
  logger.warn({ event: 'server.cut_off', timeout: timeoutMs })
  listener.destroy()
}

/** Runs steps in order. A step that fails or takes too long is logged, and the next one runs. */
export async function runShutdownSteps(
  steps: Readonly<Record<string, () => Promise<unknown> | undefined>>,
  logger: Logger,
): Promise<void> {
  for (const [step, run] of Object.entries(steps)) {
    const deadline = new AbortController()
    const late = sleep(SHUTDOWN_STEP_TIMEOUT_MS, undefined, { signal: deadline.signal }).then(
      () => Promise.reject(new Error('takes too long')),
      () => undefined,
    )
    try {
      await Promise.race([run(), late])
    } catch (error) {
      logger.warn({ event: 'server.unfinished', step, error: (error as Error).message })
    } finally {
      deadline.abort()
    }
  }
}
