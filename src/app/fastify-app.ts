import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyPluginCallback,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import type { Logger } from 'pino'
import { canonicalTarget } from '../contracts/idscan/path.ts'
import type { Randomness } from '../core/randomness.ts'
import { replyNotFound, replyWithServiceError } from '../endpoints/errors.ts'
import { METHODS } from '../http/node-http.ts'
import { registerRequestBatching } from '../http/request-batching.ts'
import { createRequestIds } from '../http/request-id.ts'
import type { Metrics } from '../observability/metrics.ts'

export interface FastifyAppOptions {
  readonly logger: Logger
  readonly metrics: Metrics
  readonly randomness: Randomness
  readonly trustProxy: boolean | string[]
  readonly tracing: FastifyPluginCallback | undefined
  readonly isDraining: () => boolean
  /** Runs before the reply to a path that does not exist. */
  readonly onUnknownPath?: OnUnknownPath | undefined
}

type OnUnknownPath = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/** The largest body of any contract is a UAF request of a few kilobytes. */
const MAX_BODY_BYTES = 64 * 1024

/** A path is at most as long as the headers that hold it (listener.ts). */
const MAX_PARAMETER_LENGTH = 48 * 1024

/** Creates a Fastify app with what every request shares, and without routes. */
export async function createFastifyApp(options: FastifyAppOptions): Promise<FastifyInstance> {
  const { logger, metrics, randomness, trustProxy, tracing, isDraining, onUnknownPath } = options
  const closeWhileDraining = (reply: FastifyReply): void => {
    if (isDraining()) reply.header('connection', 'close')
  }

  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    loggerInstance: logger as FastifyBaseLogger,
    // Fastify's own lines contain the URL, which may contain secrets. The audit line replaces them.
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (parent) => parent,
    trustProxy,
    rewriteUrl: ({ url = '' }) => readableTarget(canonicalTarget(url)),
    genReqId: createRequestIds(randomness),
    // Answer requests in progress while the app closes.
    return503OnClosing: false,
    // No route has a JSON Schema: zod validates input. This keeps Fastify from loading its schema compilers.
    schemaController: { compilersFactory: { buildValidator: rejectSchema, buildSerializer: rejectSchema } },
    routerOptions: {
      // An operation that does not exist is 404, however long its name (N2).
      maxParamLength: MAX_PARAMETER_LENGTH,
      // Only BWS reads the query, with its own parser (B4).
      querystringParser: () => ({}),
    },
  })
  // Contracts answer every method, including those that Fastify does not know (B2).
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }

  if (tracing) await app.register(tracing)
  app.addHook('onRequest', (request, reply, done) => {
    // Before the body is read, so that a faulty body is not reported for a path that does not exist.
    if (!request.is404) done()
    else if (!onUnknownPath) replyNotFound(request, reply)
    else onUnknownPath(request, reply, (error) => (error ? done(error) : replyNotFound(request, reply)))
  })
  // A trace follows one request through its callbacks, and would lose it in a batch.
  if (!tracing) registerRequestBatching(app)
  app.addHook('onSend', (request, reply, payload, done) => {
    reply.header('x-request-id', request.id)
    // Also for requests that arrived before draining began.
    closeWhileDraining(reply)
    done(null, payload)
  })
  app.addHook('onResponse', ({ routeOptions }, reply, done) => {
    // One label for all paths without a route: clients can invent any number of them.
    const route = routeOptions.url ?? 'none'
    metrics.requestDuration.observe({ route, status: reply.statusCode }, reply.elapsedTime / 1000)
    done()
  })
  app.setErrorHandler(replyWithServiceError)
  app.setNotFoundHandler(replyNotFound)
  return app
}

/** There is nothing at this path. */
const NOWHERE = '/%25'

/** A request target may be a whole URL (RFC 9112 section 3.2.2), which has no fragment. */
const WHOLE_URL = /^https?:\/\/[^/?#]+(?:[/?][^#]*)?$/i

/** Returns a target that the router can read: Fastify runs no hook for any other, so that no journal would have it. */
function readableTarget(target: string): string {
  if (target.startsWith('/')) return isDecodable(target) ? target : NOWHERE
  const isRejected = /^https?:\/\//i.test(target) && !(WHOLE_URL.test(target) && URL.canParse(target))
  return isRejected || !isDecodable(target) ? NOWHERE : target
}

function isDecodable(target: string): boolean {
  if (!target.includes('%')) return true
  try {
    decodeURI(target.split(/[?#]/, 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}

function rejectSchema(): never {
  throw new Error('routes cannot have a JSON Schema; validate input with zod')
}
