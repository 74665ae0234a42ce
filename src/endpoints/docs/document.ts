import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { OVERLOAD_RETRY_AFTER_MS, Refusal } from '../../http/refusal.ts'

/** What one client that does not read makes Trimint hold; twice as much with TLS, which keeps a copy. */
const PIECE_BYTES = 64 * 1024

/** Documents that one process sends at a time. Most of them wait for clients that do not read. */
const MAX_SENDING = 64

/** A document in memory, and how it is sent. */
export interface Document {
  readonly bytes: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** Describes a document for {@link sendDocument}. */
export function createDocument(bytes: Buffer, type: string, caching: string): Document {
  const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`
  return { bytes, headers: { 'content-type': type, 'cache-control': caching, etag } }
}

let sending = 0

/**
 * Sends a document piece by piece, as fast as the client reads it, or 304 where the client has it (RFC 9110 section
 * 13.1.2).
 *
 * @throws Refusal while too many documents are being sent.
 */
export function sendDocument({ bytes, headers }: Document, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.headers(headers)
  const known = request.headers['if-none-match']?.split(',').map((etag) => etag.trim().replace(/^W\//, '')) ?? []
  if (known.includes('*') || known.includes(String(headers.etag))) return reply.code(304).send()
  if (sending >= MAX_SENDING) throw new Refusal('overloaded', { retryAfterMs: OVERLOAD_RETRY_AFTER_MS })
  // A client may have left while the document was loaded: nothing would end its share.
  if (!reply.raw.closed) {
    sending += 1
    reply.raw.once('close', () => {
      sending -= 1
    })
  }
  return reply.header('content-length', bytes.byteLength).send(Readable.from(cut(bytes)))
}

/** Yields views of the same memory. */
function* cut(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.byteLength; start += PIECE_BYTES) yield bytes.subarray(start, start + PIECE_BYTES)
}
