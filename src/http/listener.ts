import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import { type AddressInfo, isIPv6, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { replyToBrokenRequest } from '../endpoints/errors.ts'
import { PlainResponse } from './plain-response.ts'
import { createBatch } from './request-batching.ts'

/** What a connection may cost. Every number is a limit on what a stranger can make the service hold on to. */
const OPTIONS: ServerOptions<typeof IncomingMessage, typeof PlainResponse> = {
  ServerResponse: PlainResponse,
  /** Bytes. Node's own default, written down: a JWT in a header fits many times over. */
  maxHeaderSize: 16 * 1024,
  /** Milliseconds until the headers are in: a client that dribbles them (slowloris) is cut off. */
  headersTimeout: 10_000,
  /** Milliseconds until the whole request is in. */
  requestTimeout: 15_000,
  /** Milliseconds between two looks at the two above. */
  connectionsCheckingInterval: 2_000,
  /** Milliseconds between two requests: longer than the 60 s of nginx and AWS, so that the proxy closes first, not we. */
  keepAliveTimeout: 72_000,
}

/** Milliseconds until TLS has been agreed on. */
const HANDSHAKE_TIMEOUT = 10_000

/** Milliseconds without a byte either way, for clients that never read their answer; longer than keepAliveTimeout. */
const CONNECTION_TIMEOUT = 90_000

/**
 * Requests on one connection that are not answered yet. One piece of the network holds a thousand, and each of them is taken
 * before the first answer goes out: a client that reads none would have the service hold them all.
 */
export const MAX_PENDING_REQUESTS = 64

/** Milliseconds between two looks for connections that have become idle while the server closes. */
const IDLE_CHECK = 50

/** A certificate chain and its private key, in PEM form. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** The port, and what stays the same while what answers behind it is exchanged. */
export interface Listener {
  readonly server: Server | SecureServer
  /** Hands all further requests to this app. What is under way stays with the one before. */
  serve(app: FastifyInstance): void
  /** @returns the URL. */
  listen(host: string, port: number): Promise<string>
  /** Presents this certificate on all further connections. Nothing without TLS. */
  setCertificate(certificate: Certificate): void
  /** Accepts nothing any more, and waits until everything that has been asked is answered. */
  close(): Promise<void>
  /** Cuts off whoever is left. */
  destroy(): void
}

/** How many requests of a connection are without an answer; on the connection itself, since it is asked for with every request. */
const PENDING_REQUESTS = Symbol('unanswered')

interface CountedSocket extends Socket {
  [PENDING_REQUESTS]?: number
}

function countAnswer(this: PlainResponse): void {
  const socket: CountedSocket = this.req.socket
  socket[PENDING_REQUESTS] = (socket[PENDING_REQUESTS] ?? 1) - 1
}

/** RFC 9112 section 6.1: HTTP/1.0 has no chunks, so whoever handed this on may see its end elsewhere. */
function isFaultyFraming({ httpVersionMinor, headers }: IncomingMessage): boolean {
  return httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined
}

/** @param certificate for https; http without. */
export function createListener(certificate: Certificate | undefined): Listener {
  let app: FastifyInstance | undefined
  // Behind what all connections have brought in this turn: it comes with an event for each.
  const arrival = createBatch(setImmediate)

  const answer = (request: IncomingMessage, response: PlainResponse): void => {
    const socket: CountedSocket = request.socket
    const count = (socket[PENDING_REQUESTS] ?? 0) + 1
    socket[PENDING_REQUESTS] = count
    // Cuts a connection off that asks for more than it is given.
    if (count > MAX_PENDING_REQUESTS) socket.destroy()
    if (socket.destroyed) return
    response.on('finish', countAnswer)
    if (isFaultyFraming(request)) response.setHeader('connection', 'close')
    arrival(() => {
      // Whoever has gone meanwhile needs no answer.
      if (!socket.destroyed) app?.routing(request, response)
    })
  }

  const secure =
    certificate && createSecureServer({ ...OPTIONS, handshakeTimeout: HANDSHAKE_TIMEOUT, ...certificate }, answer)
  const server: Server | SecureServer = secure ?? createServer(OPTIONS, answer)
  server.setTimeout(CONNECTION_TIMEOUT)
  server.on('clientError', replyToBrokenRequest)

  return {
    server,
    serve(next) {
      app = next
    },
    async listen(host, port) {
      // The name may stand for two addresses: which of them comes first would be a matter of luck.
      server.listen(port, host === 'localhost' ? '127.0.0.1' : host)
      await once(server, 'listening')
      const { port: bound } = server.address() as AddressInfo
      return `${certificate ? 'https' : 'http'}://${isIPv6(host) ? `[${host}]` : host}:${bound}`
    },
    setCertificate(next) {
      secure?.setSecureContext(next)
    },
    async close() {
      // A stop in the middle of a start: there is nothing to wait for.
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      // A connection that becomes idle after this is nobody's to close but ours.
      const timer = setInterval(() => server.closeIdleConnections(), IDLE_CHECK)
      await closed
      clearInterval(timer)
    },
    destroy() {
      server.closeAllConnections()
    },
  }
}
