import { ServerResponse } from 'node:http'

/** What Node knows of a response whose head has been made. It is no part of its interface, so it may be missing some day. */
interface WithLength {
  readonly _contentLength?: unknown
}

/**
 * A response whose text is sent without a detour by UTF-8 where it is ASCII, as every token and nearly every reply is: as many bytes as
 * characters, which its Content-Length says already. Node would look through all of it twice more.
 */
export class PlainResponse extends ServerResponse {
  override end(done?: () => void): this
  override end(body: unknown, done?: () => void): this
  override end(body: unknown, encoding: BufferEncoding, done?: () => void): this
  override end(body?: unknown, encoding?: unknown, done?: () => void): this {
    const isAscii = typeof body === 'string' && !encoding && (this as WithLength)._contentLength === body.length
    return super.end(body, (isAscii ? 'latin1' : encoding) as BufferEncoding, done)
  }
}
