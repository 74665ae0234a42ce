import { METHODS, type ServerOptions } from 'node:http'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Logger } from 'pino'
import { createAudit } from './audit.ts'
import type { Configuration } from './config/schema.ts'
import { createBwsApps } from './contracts/bws/apps.ts'
import { bwsRoutes } from './contracts/bws/routes.ts'
import type { Clock } from './core/clock.ts'
import { createKey } from './core/keyring.ts'
import type { Randomness } from './core/randomness.ts'
import { createRequestIds } from './request-id.ts'
import { replyNotFound, replyToBrokenRequest, replyWithServiceError } from './service/errors.ts'
import { healthRoutes } from './service/health.ts'

export interface ServerParts {
  readonly configuration: Configuration
  readonly clock: Clock
  readonly randomness: Randomness
  readonly logger: Logger
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

/** Builds the server, ready to listen. */
export async function buildServer(parts: ServerParts): Promise<FastifyInstance> {
  const { configuration, clock, randomness, logger } = parts
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
    genReqId: createRequestIds(randomness),
    // On a connection that is still open while the server closes, a request is answered, not turned away.
    return503OnClosing: false,
    frameworkErrors: replyWithServiceError,
    clientErrorHandler: replyToBrokenRequest,
    routerOptions: {
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
  })
  app.setErrorHandler(replyWithServiceError)
  app.setNotFoundHandler(replyNotFound)

  const audit = createAudit(logger)
  const keyring = configuration.keys.map(({ id, secret, notAfter }, index) =>
    createKey(id ?? `key-${index + 1}`, secret, notAfter),
  )
  await app.register(healthRoutes)
  if (configuration.bws) {
    const apps = createBwsApps(configuration.bws, configuration.publicUrl)
    await app.register(bwsRoutes, { apps, issuer: { keyring, clock, randomness }, audit })
  }
  return app
}
