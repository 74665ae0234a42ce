import { formatDemoBanner } from '../app/demo-banner.ts'
import { StartError } from '../app/start-error.ts'
import { startTrimint } from '../app/start-trimint.ts'
import { systemClock } from '../app/system-clock.ts'
import { systemRandomness } from '../app/system-randomness.ts'
import { enabledContracts } from '../app/token-services.ts'
import { readEnvironment } from '../config/environment.ts'
import { createConfigurationLoader } from '../config/load.ts'
import { type LogOptions, openLog } from '../observability/log-destination.ts'
import { createLogger } from '../observability/logger.ts'
import { createMetrics } from '../observability/metrics.ts'
import { METRICS_MAX_AGE_MS } from '../observability/metrics-rendering.ts'
import { startTracing, TracingUnavailableError } from '../observability/tracing.ts'
import type { PrimaryLink } from './cluster/primary-link.ts'
import { exitGracefully, FORCE_EXIT_AFTER_MS } from './graceful-exit.ts'
import { notifyServiceManager } from './service-manager.ts'
import { onSignal } from './signals.ts'
import { tellOperator } from './tell-operator.ts'

/** Limits of a process that serves, besides its environment and configuration. */
export interface ServingLimits {
  readonly log?: Pick<LogOptions, 'maxBufferedBytes'>
}

/**
 * Serves in this process, as its environment and configuration say, until a signal ends it.
 *
 * @param primary the primary, if this process is a worker.
 */
export async function serve(limits: ServingLimits, primary?: PrimaryLink): Promise<void> {
  const { environment, issues } = readEnvironment(process.env)
  /** The control API replaces it. */
  let clock = systemClock
  const loadAt = createConfigurationLoader(environment, process.env, systemRandomness)
  const load = () => loadAt(clock())
  if (issues.length > 0) {
    const loaded = load()
    exitWith(new StartError([...issues, ...('issues' in loaded ? loaded.issues : [])]))
  }

  const metrics = createMetrics(() => clock(), { process: true })
  primary?.reportMetrics(metrics.registry)
  const log = openLog(process.stdout.fd, {
    ...limits.log,
    ...reportLogProblems(metrics.logErrors, metrics.logLinesDropped),
  })
  const rootLogger = createLogger(environment.LOG_LEVEL, () => clock(), log)
  const logger = primary ? rootLogger.child({ worker: primary.worker }) : rootLogger

  const starting = startTracing(process.env, logger).then((tracing) =>
    startTrimint({
      load,
      host: environment.HOST,
      port: environment.PORT,
      ...(environment.METRICS_PORT === undefined ? {} : { metricsPort: environment.METRICS_PORT }),
      metricsHost: environment.METRICS_HOST,
      logger,
      metrics,
      ...(primary ? { renderMetrics: primary.renderMetrics } : {}),
      metricsMaxAgeMs: METRICS_MAX_AGE_MS,
      tracing,
      onClock: (replacement) => {
        clock = replacement
      },
      ...(primary ? { peers: primary.peers } : {}),
      workers: environment.WORKERS,
      drain: { timeoutMs: environment.DRAIN_TIMEOUT },
      onFatal: () => exitNow(),
    }),
  )
  const beginShutdown = exitGracefully(
    {
      timeoutMs: environment.DRAIN_TIMEOUT + FORCE_EXIT_AFTER_MS,
      log,
      ...(primary ? { ignoredSignals: primary.ignoredSignals } : {}),
    },
    async ({ signal, err }) => {
      if (err) logger.fatal({ event: 'server.failed', err })
      const trimint = await starting.catch(() => undefined)
      // An operator who presses Ctrl-C does not wait for load balancers.
      const delayMs = signal === 'SIGTERM' ? environment.DRAIN_DELAY : 0
      await trimint?.close(err ? { timeoutMs: 0 } : { signal, delayMs })
    },
  )

  /** Exits without another write: the store's recovery decides which writes are durable. */
  async function exitNow(): Promise<never> {
    await log.close(1_000)
    process.exit(1)
  }

  const trimint = await starting.catch(exitWith)
  const { url, metricsUrl, configFile, configuration, instanceId } = trimint
  const listening = {
    url,
    metrics: metricsUrl,
    configuration: configFile ?? 'built-in',
    contracts: enabledContracts(configuration),
  }
  const banner = configFile === undefined ? formatDemoBanner(url, configuration) : undefined
  const reload = () => void trimint.reload().catch(() => undefined)
  if (primary) {
    logger.info({ event: 'worker.listening', instance: instanceId })
    primary.onReload(reload)
    primary.onShutdown(beginShutdown)
    primary.reportListening(listening, banner)
  } else {
    logger.info({ event: 'server.listening', ...listening, instance: instanceId })
    if (banner !== undefined) tellOperator(banner)
    notifyServiceManager(process.env)
    onSignal('SIGHUP', reload)
  }
}

/** Counts problems of the log, and reports the first one on standard error. */
export function reportLogProblems(errors: { inc(): void }, dropped: { inc(): void }) {
  let isReported = false
  const report = (problem: string): void => {
    if (isReported) return
    isReported = true
    tellOperator(`trimint: the log cannot be written: ${problem}; Trimint goes on without\n`)
  }
  return {
    onError(error: Error) {
      errors.inc()
      report(error.message)
    },
    onDrop() {
      dropped.inc()
      report('its reader is too slow, lines are dropped')
    },
  }
}

function exitWith(error: unknown): never {
  if (error instanceof TracingUnavailableError) {
    return exitWith(new StartError([{ file: 'environment', path: 'OTEL_*', message: error.message }]))
  }
  if (!(error instanceof StartError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}
