import { setTimeout as sleep } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import Fastify from 'fastify'
import { findChangedPaths } from '../config/config-diff.ts'
import { type ConfigIssue, formatConfigIssue } from '../config/config-issue.ts'
import { readEnvironment } from '../config/environment.ts'
import { loadConfiguration } from '../config/load.ts'
import { createInstance } from '../core/heartbeat.ts'
import { createJumpResistantClock } from '../core/jump-resistant-clock.ts'
import { createRevocations } from '../core/revocations.ts'
import { replyNotFound } from '../endpoints/errors.ts'
import { metricsRoutes } from '../endpoints/metrics.ts'
import { createListener } from '../http/listener.ts'
import { openLog } from '../observability/log-destination.ts'
import { createLogger } from '../observability/logger.ts'
import { createMetrics } from '../observability/metrics.ts'
import { startTracing } from '../observability/tracing.ts'
import { onHangup } from '../process/signals.ts'
import { instrumentStores } from '../store/instrumented.ts'
import { openStores } from '../store/open-stores.ts'
import { formatDemoBanner } from './demo-banner.ts'
import { buildServer } from './server.ts'
import { systemClock, systemUptime } from './system-clock.ts'
import { systemRandomness } from './system-randomness.ts'

/** Milliseconds that each of the last steps of a stop may take, when everybody who was connected is gone. */
const LAST_STEP = 1_500

/** Milliseconds until whatever hangs in spite of all is given up. */
const LAST_RESORT = 8_000

const { environment, faults } = readEnvironment(process.env)
const loaded = load()
if ('faults' in loaded) exitWith([...faults, ...loaded.faults])
if (faults.length > 0) exitWith(faults)
const { file } = loaded
let { configuration } = loaded

const log = openLog(process.stdout.fd)
const requestLogger = createLogger(environment.LOG_LEVEL, systemClock, log)

/** One of several workers hears from its parent what other processes hear by signals, and tells it what they say themselves. */
const parent =
  environment.WORKERS > 1 ? (await import('../process/cluster/primary-link.ts')).connectToParent() : undefined
const logger = parent ? requestLogger.child({ worker: parent.worker }) : requestLogger

const onStoreError = (error: Error) => logger.warn({ event: 'store.failed', error: error.message })
const metrics = createMetrics(systemClock)
parent?.speakForAll(metrics.registry)
const opened = await openStores(configuration.store, onStoreError).catch(({ message }: Error) =>
  exitWith([{ file: file ?? 'built-in', path: 'store', message: `cannot be opened: ${message}` }]),
)
const stores = instrumentStores(opened, metrics, systemUptime)

const { METRICS_PORT } = environment
const tracing = await startTracing(process.env)
let draining = false
let reloading: Promise<void> = Promise.resolve()
const isDraining = (): boolean => draining
const revocations = createRevocations({ store: stores.revocations, clock: systemClock, uptime: systemUptime })
const exposeMetrics = METRICS_PORT === undefined
const instance = createInstance(systemRandomness.uuid())
const parts = {
  clock: systemClock,
  randomness: systemRandomness,
  logger: requestLogger,
  metrics,
  exposeMetrics,
  tracing: tracing?.plugin,
  stores,
  revocations,
  jumpResistantClock: createJumpResistantClock(systemClock, systemUptime),
  guardMemory: { counts: new Map() },
  instance,
  workers: environment.WORKERS,
  isDraining,
}
const listener = createListener(configuration.tls)
let app = await buildServer({ ...parts, configuration })
await app.ready()
listener.serve(app)

let toldSignal: NodeJS.Signals | undefined
const { close } = closeWithGrace(
  {
    delay: environment.DRAIN_TIMEOUT + LAST_RESORT,
    logger: false,
    skip: ['SIGHUP', ...(parent?.ignoredSignals ?? [])],
  },
  async ({ signal = toldSignal, err }) => {
    if (err) logger.fatal({ event: 'server.failed', err })
    else await drain(signal)
    const lastSteps = {
      reload: () => reloading,
      server: () => app.close(),
      metrics: closeMetrics,
      store: () => stores.close(),
      tracing: () => tracing?.close(),
    }
    for (const [step, take] of Object.entries(lastSteps)) await takeLastStep(step, take)
    log.flushSync()
  },
)

/** Outlives configurations and, so that the end can be watched, requests. */
const metricsServer = Fastify()
await metricsServer.register(metricsRoutes, metrics)
metricsServer.setNotFoundHandler(replyNotFound)
await metricsServer.ready()
const metricsListener = createListener(undefined)
metricsListener.serve(metricsServer)

const url = await orExit('PORT', listener.listen(environment.HOST, environment.PORT))
const metricsUrl =
  METRICS_PORT === undefined
    ? undefined
    : await orExit('METRICS_PORT', metricsListener.listen(environment.HOST, METRICS_PORT))
warn(loaded.warnings)
const listening = {
  url,
  metrics: metricsUrl,
  configuration: file ?? 'built-in',
  contracts: contractsOf(configuration),
}
const banner = file === undefined ? formatDemoBanner(url, configuration) : undefined
if (parent) {
  logger.info({ event: 'worker.listening', instance: instance.id })
  parent.onReload(requestReload)
  parent.onEnd((signal) => {
    toldSignal = signal
    close()
  })
  parent.listening(listening, banner)
} else {
  logger.info({ event: 'server.listening', ...listening, instance: instance.id })
  if (banner !== undefined) process.stderr.write(banner)
  onHangup(requestReload)
}

function requestReload(): void {
  if (draining) return
  reloading = reloading.then(reload).catch((err: unknown) => logger.error({ event: 'configuration.refused', err }))
}

function load() {
  return loadConfiguration(environment, process.env, systemClock(), systemRandomness)
}

/** Puts the configuration file in force as it is now: all of it or, where anything is wrong with it, nothing. */
async function reload(): Promise<void> {
  const next = load()
  if ('faults' in next) {
    logger.error({ event: 'configuration.refused', faults: next.faults.map(formatConfigIssue) })
    return
  }
  const changed = findChangedPaths(configuration, next.configuration)
  // The store is open and the port is taken: whatever is said of these waits for the next start.
  const { store, tls } = configuration
  const keepsTls = (tls === undefined) === (next.configuration.tls === undefined)
  const inForce = { ...next.configuration, store, tls: keepsTls ? next.configuration.tls : tls }
  const replacement = await buildServer({ ...parts, configuration: inForce })
  try {
    await replacement.ready()
  } catch (error) {
    await replacement.close()
    throw error
  }
  if (inForce.tls) listener.setCertificate(inForce.tls)
  listener.serve(replacement)
  const replaced = app
  app = replacement
  configuration = inForce
  await replaced.close()
  warn(next.warnings)
  const restart = findChangedPaths(inForce, next.configuration)
  logger.info({ event: 'configuration.reloaded', changed, ...(restart.length > 0 ? { restart } : {}) })
}

/** Tells whoever sends requests to go elsewhere, serves them until they have, and finishes what is under way. */
async function drain(signal: string | undefined): Promise<void> {
  const timeout = environment.DRAIN_TIMEOUT
  // Whoever types Ctrl-C waits for nobody to go elsewhere.
  const delay = signal === 'SIGTERM' ? Math.min(environment.DRAIN_DELAY, timeout) : 0
  draining = true
  logger.info({ event: 'server.draining', signal, delay })
  await sleep(delay)
  logger.info({ event: 'server.closing', signal })
  const closed = listener.close().then(() => true)
  const isClosed = await Promise.race([closed, sleep(timeout - delay, false, { ref: false })])
  if (isClosed) return
  logger.warn({ event: 'server.cut_off', timeout })
  listener.destroy()
}

async function closeMetrics(): Promise<void> {
  if (METRICS_PORT === undefined) return
  const closed = metricsListener.close()
  metricsListener.destroy()
  await closed
}

/** Whatever comes of one step of a stop, the others follow. */
async function takeLastStep(step: string, take: () => Promise<unknown> | undefined): Promise<void> {
  try {
    const late = sleep(LAST_STEP, undefined, { ref: false }).then(() => Promise.reject(new Error('takes too long')))
    await Promise.race([take(), late])
  } catch (error) {
    logger.warn({ event: 'server.unfinished', step, error: (error as Error).message })
  }
}

async function orExit(port: string, listening: Promise<string>): Promise<string> {
  try {
    return await listening
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const path = code === 'EADDRINUSE' || code === 'EACCES' ? port : 'HOST'
    // Takes back what it has announced to other replicas.
    await takeLastStep('server', () => app.close())
    return exitWith([{ file: 'environment', path, message: `cannot listen: ${message}` }])
  }
}

function warn(warnings: readonly ConfigIssue[]): void {
  for (const warning of warnings) logger.warn({ event: 'configuration.warning', warning: formatConfigIssue(warning) })
}

function contractsOf({ bws, idscan, nevisfido }: typeof configuration): string[] {
  return Object.entries({ bws, idscan, nevisfido }).flatMap(([name, section]) => (section ? [name] : []))
}

function exitWith(faults: readonly ConfigIssue[]): never {
  process.stderr.write(`trimint cannot start:\n${faults.map((fault) => `  ${formatConfigIssue(fault)}\n`).join('')}`)
  process.exit(1)
}
