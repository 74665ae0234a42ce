import { METHODS } from 'node:http'
import { availableParallelism } from 'node:os'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyPluginCallback,
  type FastifyReply,
  LogController,
} from 'fastify'
import type { Logger } from 'pino'
import { longestLifetime } from '../config/longest-lifetime.ts'
import { type Configuration, secretSlots } from '../config/schema.ts'
import { createBwsApps } from '../contracts/bws/apps.ts'
import { bwsAuthzRoutes } from '../contracts/bws/authz.ts'
import { bwsRoutes } from '../contracts/bws/routes.ts'
import { createIdscanAccounts } from '../contracts/idscan/accounts.ts'
import { idscanAuthzRoutes } from '../contracts/idscan/authz.ts'
import { canonicalTarget } from '../contracts/idscan/path.ts'
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
import { replyNotFound, replyWithServiceError } from '../endpoints/errors.ts'
import { healthRoutes } from '../endpoints/health.ts'
import { lifecycleRoutes } from '../endpoints/lifecycle.ts'
import { metricsRoutes } from '../endpoints/metrics.ts'
import { registerLoadShedding } from '../http/load-shedding.ts'
import { type Batch, createBatch, noBatch } from '../http/request-batching.ts'
import { createRequestIds } from '../http/request-id.ts'
import { createAuditLog } from '../observability/audit-log.ts'
import { type Metrics, measurePasswords } from '../observability/metrics.ts'
import type { Stores } from '../store/open-stores.ts'
import { createJobScheduler, createStoreErrorLog, type OnStoreError } from './background-jobs.ts'
import { createTokenServices } from './token-services.ts'

export interface ServerDependencies {
  readonly configuration: Configuration
  readonly clock: Clock
  readonly randomness: Randomness
  readonly logger: Logger
  readonly metrics: Metrics
  /** Opened, and closed again, by the caller. */
  readonly stores: Stores
  readonly tracing?: FastifyPluginCallback | undefined
  /** Whether `/metrics` is served here; otherwise it has a port of its own. */
  readonly exposeMetrics: boolean
  /** One for the life of a process: what is revoked while a configuration is exchanged is revoked under both. */
  readonly revocations: Revocations
  /** The same: by when stores are cleared of what has expired (settled-clock.ts). */
  readonly jumpResistantClock: Clock
  /** The same: what was counted while the store is away. */
  readonly guardMemory: GuardMemory
  /** This process: the same under every configuration that it has one after the other. */
  readonly instance: Instance
  /** How many processes like this one share the machine's cores; one unless told otherwise. */
  readonly workers?: number
  /** Whether this process is about to end, so that nothing new should be sent to it. */
  readonly isDraining: () => boolean
}

/** Bytes. The largest body of any contract is a UAF request of a few kilobytes. */
const BODY_LIMIT = 64 * 1024

/** Bytes: as long as a path can be, which is as long as a request's headers (listener.ts). */
const LONGEST_PATH = 16 * 1024

/** One core stays free for event loops; workers share the others. What waits longest waits for about two seconds. */
function limitPasswordChecks(workers: number) {
  const concurrency = Math.max(1, Math.floor((availableParallelism() - 1) / workers))
  return { concurrency, waiting: 64 * concurrency }
}

/** Milliseconds between two looks at what other processes have counted. */
const GUARD_REFRESH = 1_000

/** The same, at what they have revoked: less than half of what it is relied on, so that one look may fail or be late. */
const REVOCATIONS_REFRESH = 400

/** Milliseconds between two times that this process says which keys it has. */
const ANNOUNCEMENT_PAUSE = 3_000

/** Milliseconds between two looks at which uses are due to be written. */
const IDLE_FLUSH = 1_000

/** Milliseconds between two times that stores are swept. */
const SWEEP_PAUSE = 60_000

function noSchema(): never {
  throw new Error('no route has a JSON Schema')
}

/** Builds what answers requests: everything but the port, which outlives a configuration (listener.ts). */
export async function buildServer(parts: ServerDependencies): Promise<FastifyInstance> {
  const { configuration, clock, jumpResistantClock, randomness, logger, metrics, stores, revocations } = parts
  // Whoever is told so comes back elsewhere.
  const closeWhileDraining = (reply: FastifyReply): void => {
    if (parts.isDraining()) reply.header('connection', 'close')
  }
  const app = Fastify({
    bodyLimit: BODY_LIMIT,
    loggerInstance: logger as FastifyBaseLogger,
    // Fastify's own lines hold the URL, and with it what a caller put there. The audit line says what matters.
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (parent) => parent,
    trustProxy: configuration.trustProxy,
    rewriteUrl: ({ url = '' }) => canonicalTarget(url),
    genReqId: createRequestIds(randomness),
    // While it closes, what is under way is answered, not turned away.
    return503OnClosing: false,
    // A path that cannot be decoded meets no hook.
    frameworkErrors(error, request, reply) {
      closeWhileDraining(reply)
      replyWithServiceError(error, request, reply)
    },
    // No route has a JSON Schema, zod checks all input: what would compile schemas is not even loaded.
    schemaController: { compilersFactory: { buildValidator: noSchema, buildSerializer: noSchema } },
    routerOptions: {
      // An operation that does not exist is 404, however long its name (N2).
      maxParamLength: LONGEST_PATH,
      // Contracts differ in how they read a query, and most do not: nobody pays for parsing it twice.
      querystringParser: () => ({}),
    },
  })
  // Contracts answer every method, also those that Fastify does not know (B2).
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }

  if (parts.tracing) await app.register(parts.tracing)
  const stages = createStages(parts)
  app.addHook('onRequest', (request, reply, done) => {
    // At once: nobody is interested in the body, and so none can be wrong.
    if (request.is404) replyNotFound(request, reply)
    else stages.credentials(done)
  })
  app.addHook('preHandler', (_request, _reply, done) => stages.handler(done))
  app.addHook('onSend', (request, reply, payload, done) => {
    reply.header('x-request-id', request.id)
    // Also of what was asked before the drain began.
    closeWhileDraining(reply)
    stages.reply(() => {
      try {
        done(null, payload)
      } catch (error) {
        // A reply that cannot be sent, for a fault of ours: there is nobody behind a stage who would catch that.
        logger.error({ err: error, requestId: request.id }, 'unexpected error')
        reply.raw.destroy()
      }
    })
  })
  app.addHook('onResponse', ({ routeOptions }, reply, done) => {
    // Whatever is asked for that is not there: the path is the caller's, and there is no end of paths.
    const route = routeOptions.url ?? 'none'
    metrics.requestDuration.observe({ route, status: reply.statusCode }, reply.elapsedTime / 1000)
    done()
  })
  app.setErrorHandler(replyWithServiceError)
  app.setNotFoundHandler(replyNotFound)

  const audit = createAuditLog(logger, metrics)
  const onStoreError = createStoreErrorLog(parts)
  const keepUp = createJobScheduler(app, onStoreError)
  const guard = createServerGuard(parts, onStoreError)
  const keyring = createKeyring(configuration.keys)
  const issuer = { keyring, clock, randomness }
  const tokens = createTokenServices(configuration, { keyring, stores, revocations, clock })
  keepUp(GUARD_REFRESH, () => guard.refresh())
  keepUp(REVOCATIONS_REFRESH, () => revocations.refresh())
  keepUp(SWEEP_PAUSE, async () => {
    const now = jumpResistantClock()
    await revocations.sweep(now)
    await stores.tokens.sweep(now)
    await stores.uses.sweep(now)
    await stores.replicas.sweep(now)
  })
  const announcer = createHeartbeat({
    store: stores.replicas,
    instance: parts.instance,
    keyring,
    lifetime: longestLifetime(configuration),
    clock,
  })
  keepUp(ANNOUNCEMENT_PAUSE, () => announcer.announce())
  app.addHook('onClose', () => announcer.leave().catch(onStoreError))
  const { idleTimeout } = tokens
  if (idleTimeout) {
    keepUp(IDLE_FLUSH, () => idleTimeout.flush('due'))
    app.addHook('onClose', () => idleTimeout.flush('all').catch(onStoreError))
  }

  if (parts.exposeMetrics) await app.register(metricsRoutes, metrics)
  await app.register(healthRoutes, { isDraining: parts.isDraining, revocations })
  // Behind it, everything but health: a process that is busy is alive.
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
        passwords: measurePasswords(createPasswordChecker(limitPasswordChecks(parts.workers ?? 1)), metrics),
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

/** Where requests wait for each other on their way: see stage.ts. */
function createStages({ tracing }: ServerDependencies): Readonly<Record<'credentials' | 'handler' | 'reply', Batch>> {
  // A trace follows the request through what runs in its name, which what runs for several would not.
  const next = () => (tracing ? noBatch : createBatch(process.nextTick))
  return { credentials: next(), handler: next(), reply: next() }
}

function createServerGuard(
  { configuration, guardMemory, stores, clock, logger, metrics }: ServerDependencies,
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
