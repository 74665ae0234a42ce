import { availableParallelism } from 'node:os'
import type { FastifyInstance, FastifyPluginCallback } from 'fastify'
import type { Logger } from 'pino'
import { longestLifetime } from '../config/longest-lifetime.ts'
import type { Configuration } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { createKeyring, type Keyring, liveKeys } from '../core/crypto/keyring.ts'
import { createPasswordChecker } from '../core/crypto/passwords.ts'
import { createGuard, type Guard, noGuard } from '../core/guard.ts'
import type { GuardMemory } from '../core/guard-memory.ts'
import { isAddressKey } from '../core/guard-scopes.ts'
import { createHeartbeat, type Heartbeat, type Instance } from '../core/heartbeat.ts'
import type { Randomness } from '../core/randomness.ts'
import type { Revocations } from '../core/revocations.ts'
import type { DevelopmentTools } from '../development/development.ts'
import { docsRoutes } from '../endpoints/docs/routes.ts'
import { healthRoutes } from '../endpoints/health.ts'
import { introspectionRoutes } from '../endpoints/introspection.ts'
import { landingRoutes } from '../endpoints/landing.ts'
import { metricsRoutes } from '../endpoints/metrics.ts'
import { revocationRoutes } from '../endpoints/revocation.ts'
import { defaultMaxResidentBytes, registerLoadShedding } from '../http/load-shedding.ts'
import { createAuditLog } from '../observability/audit-log.ts'
import { type Metrics, measurePasswords } from '../observability/metrics.ts'
import type { Stores } from '../store/open-stores.ts'
import { createJobScheduler, createStoreErrorLog, type Intervals, type OnStoreError } from './background-jobs.ts'
import { toResourceServers } from './contract-options.ts'
import { createContracts } from './contracts.ts'
import { createFastifyApp } from './fastify-app.ts'
import { createGates } from './stand-ins.ts'
import { createTokenServices, enabledContracts } from './token-services.ts'
import { createWriteCheck } from './write-check.ts'

/** Dependencies that survive a reload, which builds a new server from them. */
export interface ServerDependencies {
  readonly clock: Clock
  /** A monotonic clock: milliseconds since an arbitrary time. */
  readonly uptime: Clock
  /** For deleting expired records, which cannot be undone, and for blocks (jump-resistant-clock.ts). */
  readonly jumpResistantClock: Clock
  /** Whether what rejects tokens may be deleted by that clock. */
  readonly isClockProven: () => boolean
  readonly randomness: Randomness
  readonly logger: Logger
  readonly metrics: Metrics
  /** Returns the text of `GET /metrics`; undefined if metrics have a separate port. */
  readonly renderMetrics: (() => Promise<string>) | undefined
  readonly tracing: FastifyPluginCallback | undefined
  /** The caller opens and closes them. */
  readonly stores: Stores
  readonly revocations: Revocations
  readonly guardMemory: GuardMemory
  readonly instance: Instance
  /** How many processes share the cores of this machine. */
  readonly workers: number
  /** Bytes; by default, a share of the machine's memory. */
  readonly maxResidentBytes: number | undefined
  readonly intervals: Intervals
  /** Undefined without `control` in the configuration. */
  readonly development: DevelopmentTools | undefined
  readonly isDraining: () => boolean
}

/** Builds the app that answers requests under one configuration. The listener keeps the port open through reloads. */
export async function buildServer(
  configuration: Configuration,
  dependencies: ServerDependencies,
): Promise<FastifyInstance> {
  const { clock, randomness, logger, metrics, stores, revocations, development, isDraining } = dependencies
  const app = await createFastifyApp({
    ...dependencies,
    trustProxy: configuration.trustProxy,
    onUnknownPath: development?.onUnknownPath,
  })
  development?.watch(app)

  const auditLog = createAuditLog(logger, metrics)
  const audit = development?.replaceAudit(auditLog) ?? auditLog
  const onStoreError = createStoreErrorLog(dependencies)
  const guard = createServerGuard(configuration, dependencies, onStoreError)
  const keyring = createKeyring(configuration.keys)
  const tokens = createTokenServices(configuration, { keyring, stores, revocations, clock })

  const canSign = createSigningCheck(configuration, dependencies, keyring)
  const heartbeat = createHeartbeat({
    store: stores.replicas,
    instance: dependencies.instance,
    keyring,
    lifetimeSeconds: longestLifetime(configuration),
    clock,
  })

  scheduleJobs(app, dependencies, {
    guard,
    heartbeat,
    idleTimeout: tokens.idleTimeout,
    canSign,
    onStoreError,
  })

  // The announcement, because every store has it and repeating it changes nothing.
  const checkWriting = createWriteCheck(() => heartbeat.announce(), dependencies.uptime)
  const isStoreInPlace = stores.isInPlace
  const contracts = enabledContracts(configuration)
  await app.register(healthRoutes, { contracts, isDraining, revocations, checkWriting, canSign, isStoreInPlace })
  await development?.serve(app, tokens)
  // Load shedding covers all but the health routes: a busy process is still alive.
  await app.register(async (busy) => {
    if (configuration.overload) {
      const maxResidentBytes = dependencies.maxResidentBytes ?? defaultMaxResidentBytes(dependencies.workers)
      await registerLoadShedding(busy, { ...configuration.overload, maxResidentBytes })
    }
    if (dependencies.renderMetrics) await busy.register(metricsRoutes, { render: dependencies.renderMetrics })
    const contractDependencies = {
      issuer: { keyring, clock, randomness },
      tokens,
      stores,
      revocations,
      passwords: measurePasswords(createPasswordChecker(passwordCheckLimits(dependencies.workers)), metrics),
      sessions: metrics.sessions,
      guard,
      audit,
    }
    for (const contract of createContracts(configuration, contractDependencies)) await contract.register(busy)
    await development?.serveStandIns(busy, createGates(configuration, contractDependencies))
    const { lifecycle, origin } = tokens
    const resourceServers = toResourceServers(configuration)
    if (configuration.docs) await busy.register(docsRoutes)
    const page = development ? '_trimint/' : configuration.docs ? 'docs' : undefined
    if (page) await busy.register(landingRoutes, { page })
    await busy.register(introspectionRoutes, { lifecycle, origin, resourceServers, guard, clock, audit })
    await busy.register(revocationRoutes, { lifecycle, resourceServers, guard, clock, audit })
  })
  return app
}

interface JobDependencies {
  readonly guard: Guard
  readonly heartbeat: Heartbeat
  readonly idleTimeout: ReturnType<typeof createTokenServices>['idleTimeout']
  readonly canSign: () => boolean
  readonly onStoreError: OnStoreError
}

function scheduleJobs(
  app: FastifyInstance,
  { stores, revocations, jumpResistantClock, isClockProven, intervals, development }: ServerDependencies,
  { guard, heartbeat, idleTimeout, canSign, onStoreError }: JobDependencies,
): void {
  const schedule = createJobScheduler(app, onStoreError, development?.repeat)
  schedule(intervals.guardRefreshMs, () => guard.refresh())
  schedule(intervals.revocationRefreshMs, () => revocations.refresh())
  schedule(intervals.heartbeatMs, async () => {
    canSign()
    await heartbeat.announce()
  })
  schedule(intervals.sweepMs, async () => {
    // Without its record, a nevisFIDO token is rejected. Without what the others delete, tokens would be accepted again.
    await stores.tokens.sweep(jumpResistantClock())
    for (const store of [revocations, stores.failures, stores.uses, stores.replicas]) {
      // Each at its own time: after the clock was set back, an earlier one would delete what was created since. At the
      // epoch, a sweep deletes nothing, and does the rest of its work.
      await store.sweep(isClockProven() ? jumpResistantClock() : 0)
    }
  })
  app.addHook('onClose', () => heartbeat.leave().catch(onStoreError))
  if (!idleTimeout) return
  schedule(intervals.usageFlushMs, () => idleTimeout.flush('due'))
  app.addHook('onClose', () => idleTimeout.flush('all').catch(onStoreError))
}

/** Returns what tells whether tokens can be signed. It logs once when they no longer can. */
function createSigningCheck(
  { bws, idscan }: Configuration,
  { clock, logger }: ServerDependencies,
  keyring: Keyring,
): () => boolean {
  const isSigning = Boolean(bws || idscan)
  let isLogged = false
  return () => {
    if (!isSigning || liveKeys(keyring, clock()).length > 0) return true
    if (!isLogged) logger.error({ event: 'keys.expired' })
    isLogged = true
    return false
  }
}

/** Leaves one core to the event loops. The last check in the queue waits about two seconds. */
function passwordCheckLimits(workers: number) {
  const concurrency = Math.max(1, Math.floor((availableParallelism() - 1) / workers))
  return { concurrency, waiting: 64 * concurrency }
}

function createServerGuard(
  configuration: Configuration,
  { guardMemory, stores, jumpResistantClock, logger, metrics }: ServerDependencies,
  onStoreError: OnStoreError,
): Guard {
  if (!configuration.guard) return noGuard
  return createGuard({
    settings: configuration.guard,
    memory: guardMemory,
    store: stores.failures,
    clock: jumpResistantClock,
    onBlock(key) {
      metrics.guardBlocks.inc({ scope: isAddressKey(key) ? 'address' : 'account' })
      logger.warn({ event: 'guard.blocked', key })
    },
    onStoreError,
  })
}
