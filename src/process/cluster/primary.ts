import { systemClock, systemUptime } from '../../app/system-clock.ts'
import { readEnvironment } from '../../config/environment.ts'
import { openLog } from '../../observability/log-destination.ts'
import { createLogger } from '../../observability/logger.ts'
import { createMetrics } from '../../observability/metrics.ts'
import { exitGracefully, FORCE_EXIT_AFTER_MS } from '../graceful-exit.ts'
import { reportLogProblems, type ServingLimits, serve } from '../serve.ts'
import { notifyServiceManager } from '../service-manager.ts'
import { onSignal } from '../signals.ts'
import { tellOperator } from '../tell-operator.ts'
import { createSupervisor } from './supervisor.ts'
import { setUpWorkers, startWorker } from './worker-handle.ts'

/** Longer than a worker may take, so that workers exit by themselves where they can. */
const FORCE_EXIT_AFTER_WORKERS_MS = FORCE_EXIT_AFTER_MS + 1_000

/** Runs WORKERS processes that serve: distributes connections, forwards their logs, and passes signals on. */
export async function servePrimary(limits: ServingLimits): Promise<void> {
  const { environment, issues } = readEnvironment(process.env)
  const { WORKERS, DRAIN_TIMEOUT, LOG_LEVEL } = environment
  if (issues.length > 0 || WORKERS === 1) return serve(limits)

  // The primary writes the log, so its problems are counted here.
  const metrics = createMetrics(systemClock)
  const log = openLog(process.stdout.fd, {
    ...limits.log,
    ...reportLogProblems(metrics.logErrors, metrics.logLinesDropped),
  })
  const logger = createLogger(LOG_LEVEL, systemClock, log)

  setUpWorkers()
  const supervisor = createSupervisor({
    size: WORKERS,
    // A number, because `auto` could be evaluated differently by a worker.
    startWorker: (requests) => startWorker({ WORKERS: String(WORKERS) }, log, requests),
    registry: metrics.registry,
    logger,
    uptime: systemUptime,
  })
  // A worker that is stuck would not notice that its primary is gone.
  process.once('exit', () => supervisor.kill())

  let isShuttingDown = false
  exitGracefully({ timeoutMs: DRAIN_TIMEOUT + FORCE_EXIT_AFTER_WORKERS_MS, log }, async ({ signal, err }) => {
    isShuttingDown = true
    if (err) logger.fatal({ event: 'server.failed', err })
    const isOrderly = await supervisor.shutDown(signal)
    if (!isOrderly) throw new Error('a worker did not exit with 0')
  })

  const started = await supervisor.start()
  if (isShuttingDown) return
  if ('code' in started) {
    // The worker has reported the reason.
    await log.close(1_000)
    process.exit(started.code ?? 1)
  }
  logger.info({ event: 'server.listening', ...started.listening, workers: WORKERS })
  if (started.banner !== undefined) tellOperator(started.banner)
  notifyServiceManager(process.env)
  onSignal('SIGHUP', () => supervisor.reload())
}
