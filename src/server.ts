import { METHODS, type ServerOptions } from 'node:http'
import { availableParallelism } from 'node:os'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Logger } from 'pino'
import { createAudit } from './audit.ts'
import type { Configuration } from './config/schema.ts'
import { createBwsApps } from './contracts/bws/apps.ts'
import { bwsRoutes } from './contracts/bws/routes.ts'
import { createIdscanAccounts } from './contracts/idscan/accounts.ts'
import { canonicalTarget } from './contracts/idscan/path.ts'
import { idscanRoutes } from './contracts/idscan/routes.ts'
import { createNevisfidoOptions } from './contracts/nevisfido/options.ts'
import { nevisfidoRoutes } from './contracts/nevisfido/routes.ts'
import type { Clock } from './core/clock.ts'
import { createGuard, type Guard, noGuard } from './core/guard.ts'
import { createIdscanLogin } from './core/idscan/login.ts'
import { createKeyring } from './core/keyring.ts'
import { createPasswordChecker } from './core/passwords.ts'
import type { Randomness } from './core/randomness.ts'
import { createRequestIds } from './request-id.ts'
import { replyNotFound, replyToBrokenRequest, replyWithServiceError } from './service/errors.ts'
import { healthRoutes } from './service/health.ts'
import type { FailureStore } from './store/failure-store.ts'
import type { TokenStore } from './store/token-store.ts'

export interface ServerParts {
  readonly configuration: Configuration
  readonly clock: Clock
  readonly randomness: Randomness
  readonly logger: Logger
  /** Opened, and closed again, by the caller. */
  readonly failureStore: FailureStore
  /** The same. */
  readonly tokenStore: TokenStore
}

/** What a connection may cost. Every number is a limit on what a stranger can make the service hold on to. */
const LIMITS = {
  /** Bytes. Node's own default, written down: a JWT in a header fits many times over. */
  maxHeaderSize: 16 * 1024,
  /** Bytes. The largest body of any contract is a UAF request of a few kilobytes. */
  bodyLimit: 64 * 1024,
  /** Milliseconds until the headers are in: a client that dribbles them (slowloris) is cut off. */
  headersTimeout: 10_000,
  /** Milliseconds until the whole request is in. */
  requestTimeout: 15_000,
  /** Milliseconds between two looks at the two above. */
  connectionsCheckingInterval: 2_000,
  /** Milliseconds between two requests: longer than the 60 s of nginx and AWS, so that the proxy closes first, not we. */
  keepAliveTimeout: 72_000,
  /** Milliseconds without a byte either way, for clients that never read their answer; longer than keepAliveTimeout. */
  connectionTimeout: 90_000,
} as const

/** One core stays free for the event loop. What waits longest waits for about two seconds. */
const PASSWORD_CONCURRENCY = Math.max(1, availableParallelism() - 1)
const PASSWORD_CHECKS = { concurrency: PASSWORD_CONCURRENCY, waiting: 64 * PASSWORD_CONCURRENCY }

/** Milliseconds between two looks at what other processes have counted. */
const GUARD_REFRESH = 1_000

/** Milliseconds between two log lines about a store that is away. */
const STORE_ERROR_PAUSE = 10_000

/** Builds the server, ready to listen. */
export async function buildServer(parts: ServerParts): Promise<FastifyInstance> {
  const { configuration, clock, randomness, logger, tokenStore } = parts
  const { bodyLimit, requestTimeout, keepAliveTimeout, connectionTimeout, ...http } = LIMITS
  const { tls } = configuration
  const app = Fastify({
    // Fastify types an instance by its kind of server; nothing here depends on which it is.
    ...((tls ? { https: { ...tls, ...http } } : { http }) as { http: ServerOptions }),
    bodyLimit,
    requestTimeout,
    keepAliveTimeout,
    connectionTimeout,
    loggerInstance: logger as FastifyBaseLogger,
    // Fastify's own lines hold the URL, and with it what a caller put there. The audit line says what matters.
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (parent) => parent,
    trustProxy: configuration.trustProxy,
    rewriteUrl: ({ url = '' }) => canonicalTarget(url),
    genReqId: createRequestIds(randomness),
    // On a connection that is still open while the server closes, a request is answered, not turned away.
    return503OnClosing: false,
    frameworkErrors: replyWithServiceError,
    clientErrorHandler: replyToBrokenRequest,
    routerOptions: {
      // As long as a path can be: an operation that does not exist is 404, however long its name (N2).
      maxParamLength: LIMITS.maxHeaderSize,
      // Contracts differ in how they read a query, and most do not: nobody pays for parsing it twice.
      querystringParser: () => ({}),
    },
  })
  // Contracts answer every method, also those that Fastify does not know (B2).
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    // At once: nobody is interested in the body, and so none can be wrong.
    return request.is404 ? replyNotFound(request, reply) : undefined
  })
  app.setErrorHandler(replyWithServiceError)
  app.setNotFoundHandler(replyNotFound)

  const audit = createAudit(logger)
  const guard = createServerGuard(app, parts)
  const issuer = { keyring: createKeyring(configuration.keys), clock, randomness }

  await app.register(healthRoutes)
  if (configuration.bws) {
    const apps = createBwsApps(configuration.bws, configuration.publicUrl)
    await app.register(bwsRoutes, { apps, issuer, guard, audit })
  }
  if (configuration.idscan) {
    const { idscan, publicUrl } = configuration
    const login = createIdscanLogin({
      accounts: createIdscanAccounts(idscan),
      usernameCase: idscan.usernameCase,
      passwords: createPasswordChecker(PASSWORD_CHECKS),
      guard,
      ...issuer,
    })
    await app.register(idscanRoutes, {
      login,
      issuer: { ...issuer, issuer: publicUrl, audience: publicUrl, lifetime: idscan.lifetime },
      audit,
      idleTimeout: idscan.idleTimeout,
      requireArea: idscan.requireArea,
      corsOrigins: new Set(idscan.corsOrigins),
      secure: new URL(publicUrl).protocol === 'https:',
    })
  }
  if (configuration.nevisfido) {
    const options = createNevisfidoOptions(configuration.nevisfido, { store: tokenStore, clock, randomness })
    await app.register(nevisfidoRoutes, { ...options, guard, audit })
  }
  return app
}

/** The guard, kept in step with what other processes count and an operator lifts. */
function createServerGuard(app: FastifyInstance, { configuration, failureStore, clock, logger }: ServerParts): Guard {
  if (!configuration.guard) return noGuard
  let quietUntil = 0
  const guard = createGuard({
    settings: configuration.guard,
    store: failureStore,
    clock,
    onBlock: (key) => logger.warn({ event: 'guard.blocked', key }),
    onStoreError: (error) => {
      if (clock() < quietUntil) return
      quietUntil = clock() + STORE_ERROR_PAUSE
      logger.warn({ event: 'store.failed', error: (error as Error).message })
    },
  })
  let timer: NodeJS.Timeout | undefined
  app.addHook('onReady', async () => {
    await guard.refresh()
    timer = setInterval(() => void guard.refresh(), GUARD_REFRESH)
  })
  app.addHook('onClose', async () => clearInterval(timer))
  return guard
}
