import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { ControlError } from '../control/errors.ts'
import { queryOf, serveMethods } from '../control/routes.ts'
import type { JournalRecord } from './schema.ts'

export interface Stream {
  end(): void
  /** Tells the reader that the requests until now are gone. */
  empty(): void
}

export interface StreamOptions {
  /** The open streams. */
  readonly streams: Set<Stream>
  /** Calls a listener for each further request; resolves to a function that ends it. */
  readonly follow: (listener: (record: JournalRecord) => void) => Promise<() => Promise<unknown>>
  /** Returns which requests a query asks for. @throws ControlError for an invalid query. */
  readonly accept: (query: unknown) => (record: JournalRecord) => boolean
}

const MAX_STREAMS = 32

/** A reader that is further behind is cut off. */
const MAX_UNSENT_BYTES = 1024 * 1024

/** Shorter than the time after which the listener closes a silent connection. */
const KEEP_ALIVE_MS = 30_000

/** Serves further requests as server-sent events, and an event `emptied` where the journal is emptied (L19). */
export function serveStream(app: FastifyInstance, url: string, { streams, follow, accept }: StreamOptions): void {
  serveMethods(app, url, {
    async GET(request, reply) {
      const isWanted = accept(queryOf(request))
      // A reply to HEAD has to end: the connection waits for it.
      if (request.method === 'HEAD') return reply.type('text/event-stream').send()
      if (streams.size >= MAX_STREAMS) {
        throw new ControlError(503, 'temporarily_unavailable', `too many streams; expected at most ${MAX_STREAMS}`)
      }
      const { raw } = reply
      const stream: Stream = { end: () => void raw.destroy(), empty: () => write('event: emptied\ndata: {}\n\n') }
      streams.add(stream)
      const unfollow = await follow((record) => {
        if (isWanted(record)) write(`data: ${JSON.stringify(record)}\n\n`)
      })
      const keepAlive = setInterval(() => write(':\n\n'), KEEP_ALIVE_MS)
      raw.once('close', () => {
        clearInterval(keepAlive)
        streams.delete(stream)
        // The primary may have ended first.
        void unfollow().catch(() => undefined)
      })
      // The reader may have left before the listener was there.
      if (request.raw.socket.destroyed) raw.emit('close')
      reply.hijack()
      raw.writeHead(200, {
        ...(reply.getHeaders() as OutgoingHttpHeaders),
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-request-id': request.id,
      })
      raw.flushHeaders()

      function write(text: string): void {
        // Another worker may pass on a request before the stream is open.
        if (raw.destroyed || !raw.headersSent) return
        raw.write(text)
        if (raw.writableLength > MAX_UNSENT_BYTES) stream.end()
      }
      return reply
    },
  })
}
