import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import type { Clock } from '../../core/clock.ts'
import { METRICS_MAX_AGE_MS, shareRendering } from '../../observability/metrics-rendering.ts'
import { createBroadcasts } from './broadcasts.ts'
import { createMetricsAggregation } from './metrics-aggregation.ts'
import type { Announcement, Exit, WorkerHandle, WorkerRequests } from './worker-handle.ts'

/** A worker that lived this long is replaced at once. */
const STABLE_AFTER_MS = 10_000

/** Other workers are replaced after a pause that doubles each time, between these two values. */
const FIRST_RESTART_PAUSE_MS = 1_000
const MAX_RESTART_PAUSE_MS = 30_000

/** A worker that misses this many heartbeats in a row is killed: no health check reaches a single worker. */
const HEARTBEAT_INTERVAL_MS = 10_000
const MAX_MISSED_HEARTBEATS = 6

/** The log of a worker that has exited may take this long to be forwarded. */
const LOG_FORWARDING_TIMEOUT_MS = 1_000

export interface SupervisorDependencies {
  readonly size: number
  readonly startWorker: (requests: WorkerRequests) => WorkerHandle
  /** The primary's own metrics, which are added to those of the workers. */
  readonly registry: Registry
  readonly logger: Logger
  readonly uptime: Clock
}

export interface Supervisor {
  /**
   * Starts the first worker and, when it serves, the others: a fault that stops all of them is reported once.
   *
   * @returns what they serve, or how the first one exited.
   */
  start(): Promise<Announcement | Exit>
  /** Lets every worker reload its configuration. */
  reload(): void
  /** Shuts all workers down; returns whether all of them exited with 0. */
  shutDown(signal: NodeJS.Signals | undefined): Promise<boolean>
  kill(): void
}

/** Keeps a number of workers running. */
export function createSupervisor({ size, startWorker, registry, logger, uptime }: SupervisorDependencies): Supervisor {
  const workers = new Set<WorkerHandle>()
  /** Workers that may have loaded their configuration before the latest reload. */
  const outdated = new Set<WorkerHandle>()
  const metrics = createMetricsAggregation()
  const broadcasts = createBroadcasts()
  let isShuttingDown = false

  const listeningWorkers = (): WorkerHandle[] => [...workers].filter((worker) => worker.isListening())

  // Limited here too: otherwise each worker could ask all workers once a second.
  const renderMetrics = shareRendering(
    async () => {
      await Promise.all(listeningWorkers().map((worker) => worker.collect()))
      return metrics.render([await registry.getMetricsAsJSON(), ...[...workers].map((worker) => worker.snapshot())])
    },
    METRICS_MAX_AGE_MS,
    uptime,
  )

  function launch(): WorkerHandle {
    const worker = startWorker({ onRender: sendMetrics, onBroadcast: broadcasts })
    workers.add(worker)
    worker.listening.then((announcement) => {
      if (outdated.delete(worker)) worker.send({ type: 'reload' })
      if (announcement) watch(worker)
    })
    worker.exited.then(() => {
      workers.delete(worker)
      outdated.delete(worker)
      metrics.retire(worker.snapshot())
    })
    return worker
  }

  async function keepReplacing(first: WorkerHandle): Promise<void> {
    let pauseMs = 0
    for (let worker = first; ; worker = launch()) {
      const startedAt = uptime()
      const { code, signal } = await worker.exited
      if (isShuttingDown) return
      const isStable = uptime() - startedAt >= STABLE_AFTER_MS
      pauseMs = isStable ? 0 : Math.min(MAX_RESTART_PAUSE_MS, Math.max(FIRST_RESTART_PAUSE_MS, 2 * pauseMs))
      logger.error({ event: 'worker.ended', worker: worker.id, code, signal, pause: pauseMs })
      await sleep(pauseMs)
      if (isShuttingDown) return
    }
  }

  async function sendMetrics(worker: WorkerHandle): Promise<void> {
    worker.send({ type: 'rendered', text: await renderMetrics() })
  }

  function watch(worker: WorkerHandle): void {
    let missed = 0
    const heartbeat = setInterval(async () => {
      missed = (await worker.collect()) ? 0 : missed + 1
      if (missed < MAX_MISSED_HEARTBEATS || isShuttingDown) return
      logger.error({ event: 'worker.stuck', worker: worker.id })
      worker.kill()
    }, HEARTBEAT_INTERVAL_MS)
    worker.exited.then(() => clearInterval(heartbeat))
  }

  return {
    async start() {
      const first = launch()
      const announcement = await first.listening
      if (!announcement || isShuttingDown) {
        // It may have said why.
        await Promise.race([first.closed, sleep(LOG_FORWARDING_TIMEOUT_MS, undefined, { ref: false })])
        return first.exited
      }
      const others = Array.from({ length: size - 1 }, launch)
      for (const worker of [first, ...others]) void keepReplacing(worker)
      await Promise.all(others.map(({ listening }) => listening))
      return announcement
    },
    reload() {
      for (const worker of workers) {
        if (worker.isListening()) worker.send({ type: 'reload' })
        else outdated.add(worker)
      }
    },
    async shutDown(signal) {
      isShuttingDown = true
      const all = [...workers]
      const listening = listeningWorkers()
      for (const worker of all) {
        if (listening.includes(worker)) worker.send({ type: 'shutdown', signal })
        else worker.kill()
      }
      const exits = await Promise.all(listening.map(({ exited }) => exited))
      await Promise.race([
        Promise.all(all.map(({ closed }) => closed)),
        sleep(LOG_FORWARDING_TIMEOUT_MS, undefined, { ref: false }),
      ])
      return exits.every(({ code }) => code === 0)
    },
    kill() {
      for (const worker of workers) worker.kill()
    },
  }
}
