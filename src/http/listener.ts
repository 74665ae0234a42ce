import { once } from 'node:events'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, isIPv6, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { replyToBrokenRequest } from './broken-request.ts'
import { createServer } from './node-http.ts'
import { createBatch } from './request-batching.ts'

/** Limits of one connection. They bound the resources that an unauthenticated client can use. */
export interface ConnectionLimits {
  /** Bytes of a request's line and headers. */
  readonly maxHeaderBytes: number
  /** Until the headers have arrived: closes clients that send them byte by byte (slowloris). */
  readonly headersTimeoutMs: number
  /** Until the whole request has arrived. */
  readonly requestTimeoutMs: number
  /** Between two checks of the two time-outs above. */
  readonly connectionsCheckingIntervalMs: number
  /** Between two requests. Longer than the 60 s of nginx and AWS, so that the proxy closes first. */
  readonly keepAliveTimeoutMs: number
  /** Until the TLS handshake is done. */
  readonly tlsHandshakeTimeoutMs: number
  /** Without a byte in either direction, for clients that never read their answer. Longer than keepAliveTimeoutMs. */
  readonly idleTimeoutMs: number
  /** Unanswered requests on one connection. A client that pipelines more is disconnected. */
  readonly maxPendingRequests: number
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  // Browsers send the cookies of every application on a domain: 32 KiB are accepted, with room for other headers.
  maxHeaderBytes: 48 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 15_000,
  connectionsCheckingIntervalMs: 2_000,
  keepAliveTimeoutMs: 72_000,
  tlsHandshakeTimeoutMs: 10_000,
  idleTimeoutMs: 90_000,
  maxPendingRequests: 64,
}

const IDLE_CHECK_INTERVAL_MS = 50

/** A certificate chain and its private key, as PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** A port. It stays open while the app behind it is replaced. */
export interface Listener {
  /** Sends all further requests to this app. Requests in progress stay with the previous app. */
  serve(app: FastifyInstance): void
  /** Opens the port and returns its URL. */
  listen(host: string, port: number): Promise<string>
  /** Presents this certificate on all further connections. Does nothing without TLS. */
  setCertificate(certificate: Certificate): void
  /** Accepts no further connections, and waits until every request is answered. */
  close(): Promise<void>
  /** Closes all connections at once. */
  destroy(): void
  /** Closes the port and all connections at once. Does nothing where the port is not open. */
  abort(): Promise<void>
}

type Step = () => void

// A property of the socket: a map would cost a lookup for each request and answer.
const PENDING_REQUESTS = Symbol('pending requests')

interface QueuedSocket extends Socket {
  /** How to route the requests that have no answer yet. The first one is being answered. */
  [PENDING_REQUESTS]?: Step[]
}

/** Returns how many requests on a connection have no answer yet. */
function countPendingRequests(socket: Duplex): number {
  return (socket as QueuedSocket)[PENDING_REQUESTS]?.length ?? 0
}

/**
 * Returns whether a proxy may see the end of a request elsewhere: HTTP/1.0 has no chunked coding (RFC 9112 section
 * 6.1).
 */
function hasFaultyFraming({ httpVersionMinor, headers }: IncomingMessage): boolean {
  return httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined
}

/**
 * Creates a listener.
 *
 * @param certificate for https; http without one.
 */
export function createListener(
  certificate: Certificate | undefined,
  limits: ConnectionLimits = DEFAULT_CONNECTION_LIMITS,
): Listener {
  let app: FastifyInstance | undefined
  const arrivals = createBatch(setImmediate)

  /**
   * One answer at a time: a client that does not read makes Trimint hold one answer, however many requests it
   * pipelines.
   */
  function routeNext(this: ServerResponse): void {
    const pending = (this.req.socket as QueuedSocket)[PENDING_REQUESTS]
    pending?.shift()
    const [next] = pending ?? []
    if (next) arrivals(next)
  }

  const receive: RequestListener = (request, response) => {
    const socket: QueuedSocket = request.socket
    socket[PENDING_REQUESTS] ??= []
    const pending = socket[PENDING_REQUESTS]
    const route = (): void => {
      if (!socket.destroyed) app?.routing(request, response)
    }
    if (pending.push(route) > limits.maxPendingRequests) socket.destroy()
    if (socket.destroyed) return
    // Emitted when the socket has passed on the whole answer.
    response.on('finish', routeNext)
    if (hasFaultyFraming(request)) response.setHeader('connection', 'close')
    if (pending.length === 1) arrivals(route)
  }

  const options = {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: limits.connectionsCheckingIntervalMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
  }
  const secureServer =
    certificate &&
    createSecureServer({ ...options, handshakeTimeout: limits.tlsHandshakeTimeoutMs, ...certificate }, receive)
  const server = secureServer ?? createServer(options, receive)
  server.setTimeout(limits.idleTimeoutMs)
  server.on('clientError', (error: Error & { code: string }, socket) => {
    replyToBrokenRequest(error, socket, countPendingRequests(socket) > 0)
  })

  const listener: Listener = {
    serve(next) {
      app = next
    },
    async listen(host, port) {
      // `localhost` may resolve to two addresses, in any order.
      server.listen(port, host === 'localhost' ? '127.0.0.1' : host)
      await once(server, 'listening')
      const { port: bound } = server.address() as AddressInfo
      return `${certificate ? 'https' : 'http'}://${isIPv6(host) ? `[${host}]` : host}:${bound}`
    },
    setCertificate(next) {
      secureServer?.setSecureContext(next)
    },
    async close() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      // server.close() ends the connections that are idle now, not those that become idle later.
      const timer = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_INTERVAL_MS)
      await closed
      clearInterval(timer)
    },
    destroy() {
      server.closeAllConnections()
    },
    async abort() {
      const closed = listener.close()
      listener.destroy()
      await closed
    },
  }
  return listener
}
