import type { FastifyInstance } from 'fastify'
import pino, { type Logger } from 'pino'
import { type LoadResult, parseConfiguration } from '../config/load.ts'
import { expiryOf } from '../config/pem.ts'
import type { Configuration, ConfigurationInput } from '../config/schema.ts'
import { createGuardMemory } from '../core/guard-memory.ts'
import { createInstance } from '../core/heartbeat.ts'
import { createJumpResistantClock, createProbation } from '../core/jump-resistant-clock.ts'
import { createRevocations } from '../core/revocations.ts'
import type { DevelopmentOptions, DevelopmentTools } from '../development/development.ts'
import { createListener, DEFAULT_CONNECTION_LIMITS, type Listener } from '../http/listener.ts'
import { createMetrics } from '../observability/metrics.ts'
import { shareRendering } from '../observability/metrics-rendering.ts'
import { instrumentStores } from '../store/instrumented.ts'
import type { Stores } from '../store/open-stores.ts'
import { DEFAULT_INTERVALS } from './background-jobs.ts'
import { watchConfig } from './config-watch.ts'
import { createConfigurationChanges } from './configuration-changes.ts'
import { createLoader } from './configuration-loader.ts'
import { createMetricsServer } from './metrics-server.ts'
import { REASONS_BY_CONTRACT } from './refusal-reasons.ts'
import { type Active, logWarning } from './reload.ts'
import { buildServer, type ServerDependencies } from './server.ts'
import { drain, runShutdownSteps } from './shutdown.ts'
import { StartError } from './start-error.ts'
import { hasEveryStore, openStoresOf } from './startup-stores.ts'
import { systemClock, systemUptime } from './system-clock.ts'
import { systemRandomness } from './system-randomness.ts'
import type { CloseOptions, Trimint, TrimintOptions } from './trimint.ts'
import { withoutControl } from './without-control.ts'

const DEFAULT_DRAIN = { delayMs: 0, timeoutMs: 30_000 }

/**
 * Starts Trimint in this process. It neither reads nor changes `process`, so several can run independently.
 *
 * @see src/index.ts, the package's entry, for examples.
 * @throws StartError for an unusable configuration, a store that cannot be opened, or a port that cannot be listened
 *   on.
 */
export async function startTrimint(options: TrimintOptions = {}): Promise<Trimint> {
  const { host = '127.0.0.1', port = 0, metricsPort, metricsHost = '127.0.0.1' } = options
  const { randomness = systemRandomness, logger = createSilentLogger() } = options
  const systemTime = options.clock ?? systemClock
  let clock = systemTime
  const uptime = options.uptime ?? systemUptime
  const connectionLimits = { ...DEFAULT_CONNECTION_LIMITS, ...options.connectionLimits }
  const load = options.load ?? createLoader(options, () => clock(), randomness)

  /** What is open, the last first. */
  const open: [step: string, close: () => Promise<unknown> | undefined][] = [
    ['tracing', () => options.tracing?.close()],
  ]
  const closeAll = () => runShutdownSteps(Object.fromEntries(open), logger)

  /** Leaves nothing open where a step of the start fails. */
  async function orCloseAll<Result>(step: Promise<Result>): Promise<Result> {
    try {
      return await step
    } catch (error) {
      await closeAll()
      throw error
    }
  }

  const loaded = load()
  if ('issues' in loaded) {
    await closeAll()
    throw new StartError(loaded.issues)
  }
  const { configuration, file } = loaded

  const metrics = options.metrics ?? createMetrics(() => clock())
  // Not from the options: two instances on one store need different ids, whatever a test makes random.
  const instance = createInstance(systemRandomness.uuid())
  const development = await loadDevelopment(configuration, {
    instance: instance.id,
    peers: options.peers,
    systemClock: systemTime,
    randomness,
    reasons: REASONS_BY_CONTRACT,
    logger,
    registry: metrics.registry,
  })
  clock = development?.clock ?? systemTime
  options.onClock?.(clock)
  const renderMetrics = shareRendering(
    options.renderMetrics ?? (() => metrics.registry.metrics()),
    options.metricsMaxAgeMs ?? 0,
    uptime,
  )
  const given = options.stores
  const opened = hasEveryStore(given) ? undefined : await orCloseAll(openStoresOf(configuration, file, options, logger))
  open.unshift(['store', () => opened?.close()])
  const stores = { ...opened, ...given } as Stores
  const revocations = createRevocations({ store: stores.revocations, clock, uptime })
  let isDraining = false

  const dependencies: ServerDependencies = {
    clock,
    uptime,
    // A developer who sets the clock expects blocks and sweeps to follow at once (L7).
    jumpResistantClock: development?.clock ?? createJumpResistantClock(clock, uptime),
    isClockProven: development ? () => true : createProbation(uptime),
    randomness,
    logger,
    metrics,
    renderMetrics: metricsPort === undefined ? renderMetrics : undefined,
    tracing: options.tracing?.plugin,
    stores: instrumentStores(development?.replaceStores(stores) ?? stores, metrics, uptime),
    revocations: development?.replaceRevocations(revocations) ?? revocations,
    guardMemory: createGuardMemory(),
    instance,
    workers: options.workers ?? 1,
    maxResidentBytes: options.maxResidentBytes,
    intervals: { ...DEFAULT_INTERVALS, ...options.intervals },
    development,
    isDraining: () => isDraining,
  }
  const build = (next: Configuration) => buildReadyServer(next, dependencies)

  const metricsServer =
    metricsPort === undefined ? undefined : await orCloseAll(createMetricsServer(renderMetrics, connectionLimits))
  if (metricsServer) open.unshift(['metrics', metricsServer.close])

  const active: Active = { app: await orCloseAll(build(configuration)), configuration, input: loaded.input }
  const listener = createListener(configuration.tls, connectionLimits)
  listener.serve(active.app)

  let files = loaded.files ?? new Map()
  function loadAgain(): LoadResult {
    const next = load()
    files = next.files ?? files
    return next
  }
  const noteCertificate = () => metrics.certificateExpiry.set(certificateExpiry(active.configuration))
  noteCertificate()
  const changes = createConfigurationChanges({
    active,
    listener,
    logger,
    build,
    isDraining: () => isDraining,
    onChanged: noteCertificate,
  })
  open.unshift(['reload', changes.settled], ['port', listener.abort], ['server', changes.close])
  let closing: Promise<void> | undefined
  const hurry = new AbortController()

  async function listen(on: Listener, address: string, at: number, prefix: '' | 'METRICS_'): Promise<string> {
    try {
      return await on.listen(address, at)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const path = `${prefix}${code === 'EADDRINUSE' || code === 'EACCES' ? 'PORT' : 'HOST'}`
      throw new StartError([{ file: 'environment', path, message: `cannot listen: ${message}` }], { cause: error })
    }
  }
  const parse = (input: ConfigurationInput) =>
    parseConfiguration(input, { now: clock(), production: options.production })

  const starting = development?.start({
    stores: dependencies.stores,
    revocations,
    guardMemory: dependencies.guardMemory,
    url: () => url,
    configuration: () => active.configuration,
    input: () => withResolvedPaths(active),
    patched: changes.patched,
    patch: (input) => changes.patch(() => parse(input)),
    restore: changes.restore,
  })
  await orCloseAll(Promise.resolve(starting))

  const url = await orCloseAll(listen(listener, host, port, ''))
  const metricsUrl =
    metricsServer && (await orCloseAll(listen(metricsServer.listener, metricsHost, metricsPort ?? 0, 'METRICS_')))
  for (const warning of loaded.warnings) logWarning(warning, logger)

  const stopWatching = watchConfig({
    intervalMs: dependencies.intervals.configWatchMs,
    files: () => (active.configuration.watch ? files : new Map()),
    reload: () => trimint.reload(),
  })

  async function closeGracefully(closeOptions: CloseOptions): Promise<void> {
    isDraining = true
    stopWatching()
    development?.release()
    await drain(listener, logger, { ...DEFAULT_DRAIN, ...options.drain, ...closeOptions, hurry: hurry.signal })
    await closeAll()
  }

  const trimint: Trimint = {
    ...(development?.api ?? withoutControl),
    url,
    metricsUrl,
    instanceId: dependencies.instance.id,
    configFile: file,
    get configuration() {
      return active.configuration
    },
    reload: (next) => changes.reload(next ? () => parse(next) : loadAgain),
    close(closeOptions = {}) {
      if (closing) {
        hurry.abort()
        if (closeOptions.timeoutMs === 0) listener.destroy()
        return closing
      }
      closing = closeGracefully(closeOptions)
      return closing
    },
    [Symbol.asyncDispose]: () => trimint.close(),
  }
  return trimint
}

/** Returns the configuration in force as it was written. A relative path in a file is relative to that file. */
function withResolvedPaths({ input, configuration: { store, idscan } }: Active): ConfigurationInput {
  const fixtures = idscan ? idscan.fixtures : undefined
  const section = input.idscan && fixtures !== undefined ? { ...input.idscan, fixtures } : input.idscan
  return { ...input, store, ...(section === undefined ? {} : { idscan: section }) }
}

function certificateExpiry({ tls }: Configuration): number | undefined {
  return tls && expiryOf(tls.cert)
}

/** Loads the control API, which a configuration without it must not even load (docs/contracts/development.md, L1). */
async function loadDevelopment(
  { control }: Configuration,
  options: Omit<DevelopmentOptions, 'settings'>,
): Promise<DevelopmentTools | undefined> {
  if (!control) return undefined
  const { createDevelopment } = await import('../development/development.ts')
  return createDevelopment({ ...options, settings: control })
}

/** Returns a logger that writes nothing. Without a destination, pino would open one and add a listener to `process`. */
function createSilentLogger(): Logger {
  return pino({ enabled: false }, { write: () => undefined })
}

async function buildReadyServer(
  configuration: Configuration,
  dependencies: ServerDependencies,
): Promise<FastifyInstance> {
  const app = await buildServer(configuration, dependencies)
  try {
    await app.ready()
    return app
  } catch (error) {
    await app.close()
    throw error
  }
}
