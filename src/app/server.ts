import { availableParallelism } from 'node:os'
import type { FastifyInstance, FastifyPluginCallback } from 'fastify'
import type { Logger } from 'pino'
import { longestLifetime } from '../config/longest-lifetime.ts'
import { type Configuration, secretSlots } from '../config/schema.ts'
import { createBwsApps } from '../contracts/bws/apps.ts'
import { bwsAuthzRoutes } from '../contracts/bws/authz.ts'
import { bwsRoutes } from '../contracts/bws/routes.ts'
import { createIdscanAccounts } from '../contracts/idscan/accounts.ts'
import { idscanAuthzRoutes } from '../contracts/idscan/authz.ts'
import { idscanRoutes } from '../contracts/idscan/routes.ts'
import { createNevisfidoOptions } from '../contracts/nevisfido/options.ts'
import { nevisfidoRoutes } from '../contracts/nevisfido/routes.ts'
import type { Clock } from '../core/clock.ts'
import { createKeyring } from '../core/crypto/keyring.ts'
import { createPasswordChecker } from '../core/crypto/passwords.ts'
import { createGuard, type Guard, type GuardMemory, noGuard } from '../core/guard.ts'
import { createHeartbeat, type Instance } from '../core/heartbeat.ts'
import { createIdscanLogin } from '../core/idscan/login.ts'
import type { Randomness } from '../core/randomness.ts'
import type { Revocations } from '../core/revocations.ts'
import { docsRoutes } from '../endpoints/docs/routes.ts'
import { healthRoutes } from '../endpoints/health.ts'
import { lifecycleRoutes } from '../endpoints/lifecycle.ts'
import { metricsRoutes } from '../endpoints/metrics.ts'
import { registerLoadShedding } from '../http/load-shedding.ts'
import { createAuditLog } from '../observability/audit-log.ts'
import { type Metrics, measurePasswords } from '../observability/metrics.ts'
import type { Stores } from '../store/open-stores.ts'
import { createJobScheduler, createStoreErrorLog, type Intervals, type OnStoreError } from './background-jobs.ts'
import { createFastifyApp } from './fastify-app.ts'
import { createTokenServices } from './token-services.ts'

/** What outlives a configuration: a reload builds a new server from the same dependencies. */
export interface ServerDependencies {
  readonly clock: Clock
  /** For what must not be undone: deletes expired records only when the clock has proved right. */
  readonly jumpResistantClock: Clock
  readonly randomness: Randomness
  readonly logger: Logger
  readonly metrics: Metrics
  /** Returns the text of `GET /metrics`; undefined where metrics have a port of their own. */
  readonly renderMetrics: (() => Promise<string>) | undefined
  readonly tracing: FastifyPluginCallback | undefined
  /** The caller opens and closes them. */
  readonly stores: Stores
  readonly revocations: Revocations
  readonly guardMemory: GuardMemory
  readonly instance: Instance
  /** How many processes share the cores of this machine. */
  readonly workers: number
  readonly intervals: Intervals
  readonly isDraining: () => boolean
}

/** Builds the app that answers requests under one configuration. The port is the listener's, and outlives it. */
export async function buildServer(
  configuration: Configuration,
  dependencies: ServerDependencies,
): Promise<FastifyInstance> {
  const { clock, randomness, logger, metrics, stores, revocations, isDraining } = dependencies
  const app = await createFastifyApp({ ...dependencies, trustProxy: configuration.trustProxy })

  const audit = createAuditLog(logger, metrics)
  const onStoreError = createStoreErrorLog(dependencies)
  const guard = createServerGuard(configuration, dependencies, onStoreError)
  const keyring = createKeyring(configuration.keys)
  const issuer = { keyring, clock, randomness }
  const tokens = createTokenServices(configuration, { keyring, stores, revocations, clock })

  scheduleJobs(app, configuration, dependencies, { guard, keyring, idleTimeout: tokens.idleTimeout, onStoreError })

  if (dependencies.renderMetrics) await app.register(metricsRoutes, { render: dependencies.renderMetrics })
  await app.register(healthRoutes, { isDraining, revocations })
  // Load shedding covers all but the routes above: a busy process is still alive.
  await app.register(async (busy) => {
    if (configuration.overload) await registerLoadShedding(busy, configuration.overload)
    if (configuration.bws) {
      const apps = createBwsApps(configuration.bws, configuration.publicUrl)
      await busy.register(bwsRoutes, { apps, issuer, guard, audit })
    }
    if (tokens.bws) await busy.register(bwsAuthzRoutes, { tokens: tokens.bws, audit })
    if (configuration.idscan) {
      const { idscan, publicUrl } = configuration
      const login = createIdscanLogin({
        accounts: createIdscanAccounts(idscan),
        usernameCase: idscan.usernameCase,
        passwords: measurePasswords(createPasswordChecker(passwordCheckLimits(dependencies.workers)), metrics),
        guard,
        ...issuer,
      })
      await busy.register(idscanRoutes, {
        login,
        issuer: { ...issuer, issuer: publicUrl, audience: publicUrl, lifetime: idscan.lifetime },
        audit,
        idleTimeout: idscan.idleTimeout,
        requireArea: idscan.requireArea,
        corsOrigins: new Set(idscan.corsOrigins),
        secure: new URL(publicUrl).protocol === 'https:',
      })
    }
    if (tokens.idscan) await busy.register(idscanAuthzRoutes, { tokens: tokens.idscan, audit })
    if (configuration.nevisfido && tokens.nevisfido) {
      const options = createNevisfidoOptions(configuration.nevisfido, { store: stores.tokens, clock, randomness })
      await busy.register(nevisfidoRoutes, {
        ...options,
        tokens: tokens.nevisfido,
        sessions: metrics.sessions,
        guard,
        audit,
      })
    }
    const { lifecycle, origin } = tokens
    const resourceServers = new Map(configuration.resourceServers.map((server) => [server.id, secretSlots(server)]))
    if (configuration.docs) await busy.register(docsRoutes)
    await busy.register(lifecycleRoutes, { lifecycle, origin, resourceServers, guard, clock, audit })
  })
  return app
}

interface JobDependencies {
  readonly guard: Guard
  readonly keyring: ReturnType<typeof createKeyring>
  readonly idleTimeout: ReturnType<typeof createTokenServices>['idleTimeout']
  readonly onStoreError: OnStoreError
}

function scheduleJobs(
  app: FastifyInstance,
  configuration: Configuration,
  { stores, revocations, instance, clock, jumpResistantClock, intervals }: ServerDependencies,
  { guard, keyring, idleTimeout, onStoreError }: JobDependencies,
): void {
  const schedule = createJobScheduler(app, onStoreError)
  const heartbeat = createHeartbeat({
    store: stores.replicas,
    instance,
    keyring,
    lifetime: longestLifetime(configuration),
    clock,
  })
  schedule(intervals.guardRefreshMs, () => guard.refresh())
  schedule(intervals.revocationRefreshMs, () => revocations.refresh())
  schedule(intervals.heartbeatMs, () => heartbeat.announce())
  schedule(intervals.sweepMs, async () => {
    const now = jumpResistantClock()
    await revocations.sweep(now)
    await stores.tokens.sweep(now)
    await stores.uses.sweep(now)
    await stores.replicas.sweep(now)
  })
  app.addHook('onClose', () => heartbeat.leave().catch(onStoreError))
  if (!idleTimeout) return
  schedule(intervals.usageFlushMs, () => idleTimeout.flush('due'))
  app.addHook('onClose', () => idleTimeout.flush('all').catch(onStoreError))
}

/** Leaves one core to the event loops. The last check in the queue waits about two seconds. */
function passwordCheckLimits(workers: number) {
  const concurrency = Math.max(1, Math.floor((availableParallelism() - 1) / workers))
  return { concurrency, waiting: 64 * concurrency }
}

function createServerGuard(
  configuration: Configuration,
  { guardMemory, stores, clock, logger, metrics }: ServerDependencies,
  onStoreError: OnStoreError,
): Guard {
  if (!configuration.guard) return noGuard
  return createGuard({
    settings: configuration.guard,
    memory: guardMemory,
    store: stores.failures,
    clock,
    onBlock(key) {
      metrics.guardBlocks.inc({ scope: key.startsWith('address ') ? 'address' : 'account' })
      logger.warn({ event: 'guard.blocked', key })
    },
    onStoreError,
  })
}
