import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Clock } from '../core/clock.ts'

/** Milliseconds that a start waits for a first look at the store. */
const FIRST_STEP = 1_000

/** Milliseconds between two log lines about a store that is away. */
const STORE_ERROR_PAUSE = 10_000

export type OnStoreError = (error: unknown) => void

/** Says that the store is away, and not again for every request that meets it. */
export function createStoreErrorLog({ clock, logger }: { clock: Clock; logger: Logger }): OnStoreError {
  let saidAt = Number.NEGATIVE_INFINITY
  return (error) => {
    const now = clock()
    // A clock that has been set back since would keep it quiet for as long as that.
    if (now >= saidAt && now < saidAt + STORE_ERROR_PAUSE) return
    saidAt = now
    logger.warn({ event: 'store.failed', error: (error as Error).message })
  }
}

/**
 * Takes a step before the first request, and again after every pause (milliseconds) for as long as the server is up. Nobody waits
 * for one that takes long: what needs its outcome asks for itself.
 */
export function createJobScheduler(app: FastifyInstance, onStoreError: OnStoreError) {
  return (pause: number, step: () => Promise<void>): void => {
    let timer: NodeJS.Timeout | undefined
    let isUnderWay = false
    const attempt = async (): Promise<void> => {
      if (isUnderWay) return
      isUnderWay = true
      await step().catch(onStoreError)
      isUnderWay = false
    }
    app.addHook('onReady', async () => {
      timer = setInterval(attempt, pause)
      await Promise.race([attempt(), sleep(FIRST_STEP, undefined, { ref: false })])
    })
    app.addHook('onClose', async () => clearInterval(timer))
  }
}
