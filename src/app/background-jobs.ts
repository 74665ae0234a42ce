import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Clock } from '../core/clock.ts'

/** How often background jobs run. Tests shorten them. */
export interface Intervals {
  /** Reads what other instances counted for the guard. */
  readonly guardRefreshMs: number
  /** Reads what other instances revoked: less than half of MAX_STALENESS_MS, so that one read may fail or be late. */
  readonly revocationRefreshMs: number
  /** Announces this instance's keys. */
  readonly heartbeatMs: number
  /** Writes the last uses of IDscan tokens that are due. */
  readonly usageFlushMs: number
  /** Deletes expired records. */
  readonly sweepMs: number
  /** Compares the configuration's files with those in force, if `watch` is set. */
  readonly configWatchMs: number
}

export const DEFAULT_INTERVALS: Intervals = {
  guardRefreshMs: 1_000,
  revocationRefreshMs: 400,
  heartbeatMs: 3_000,
  usageFlushMs: 1_000,
  sweepMs: 60_000,
  configWatchMs: 1_000,
}

/** The first run of a job may delay the start by this much. */
const MAX_FIRST_RUN_MS = 1_000

const STORE_ERROR_LOG_INTERVAL_MS = 10_000

export type OnStoreError = (error: unknown) => void

/** Logs that the store is unavailable, at most every ten seconds. */
export function createStoreErrorLog({ clock, logger }: { clock: Clock; logger: Logger }): OnStoreError {
  let loggedAt = Number.NEGATIVE_INFINITY
  return (error) => {
    const now = clock()
    // The first comparison is for a clock that was set back: it must not silence the log.
    if (now >= loggedAt && now < loggedAt + STORE_ERROR_LOG_INTERVAL_MS) return
    loggedAt = now
    logger.warn({ event: 'store.failed', error: (error as Error).message })
  }
}

/** Runs a job at an interval; returns a function that stops it. */
export type Repeat = (intervalMs: number, job: () => Promise<void>) => () => void

const repeatInRealTime: Repeat = (intervalMs, job) => {
  const timer = setInterval(job, intervalMs)
  return () => clearInterval(timer)
}

export type ScheduleJob = (intervalMs: number, job: () => Promise<void>) => void

/**
 * Creates a scheduler for the life of an app: a job runs before the first request and then at its interval. A job that
 * still runs at its next turn is not started again.
 */
export function createJobScheduler(
  app: FastifyInstance,
  onStoreError: OnStoreError,
  repeat: Repeat = repeatInRealTime,
): ScheduleJob {
  return (intervalMs, job) => {
    let stop: (() => void) | undefined
    let isRunning = false
    const run = async (): Promise<void> => {
      if (isRunning) return
      isRunning = true
      await job().catch(onStoreError)
      isRunning = false
    }
    app.addHook('onReady', async () => {
      stop = repeat(intervalMs, run)
      const deadline = new AbortController()
      await Promise.race([
        run(),
        sleep(MAX_FIRST_RUN_MS, undefined, { signal: deadline.signal }).catch(() => undefined),
      ])
      deadline.abort()
    })
    app.addHook('onClose', async () => stop?.())
  }
}
