import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import { z } from 'zod'
import type { FidoOperation } from '../../core/fido/operation.ts'
import { createErrorHandler } from '../../http/error-handler.ts'
import { Refusal } from '../../http/refusal.ts'
import type { AuditLog } from '../../observability/audit-log.ts'
import type { numericRefusals } from './errors.ts'
import { explainMediaType } from './explanations.ts'
import { createMediaTypeMatcher, type MediaTypes } from './negotiation.ts'
import type { Negotiation } from './options.ts'
import { operationParams } from './schema.ts'

export const UAF = 'application/fido+uaf'
export const UAF_UTF8 = `${UAF};charset=UTF-8`
export const JSON_TYPE = 'application/json'

/** What differs between the POST services of this contract. */
interface ServiceDescription {
  readonly url: string
  readonly mediaTypes: MediaTypes
  readonly negotiation: Negotiation
  readonly refusals: typeof numericRefusals
  readonly audit: AuditLog
  /** Whether the path exists; 404 where not. */
  readonly exists?: (request: FastifyRequest) => boolean
  /** Checks credentials, before the body is read. */
  readonly authenticate?: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
  /** Returns the body. */
  readonly handler: RouteHandlerMethod
}

/**
 * Serves POST at a path, with or without a trailing slash, in the order of N1: path, method, Content-Type, Accept,
 * credentials, body. The handler gets the body as bytes, see {@link readJson}.
 */
export function serve(app: FastifyInstance, service: ServiceDescription): void {
  const { url, mediaTypes, negotiation, exists, authenticate, handler } = service
  const matcher = createMediaTypeMatcher(mediaTypes, negotiation)
  app.setErrorHandler(createErrorHandler(service.refusals, service.audit))
  app.removeAllContentTypeParsers()
  // Also by name, because Fastify does not cache look-ups that end at the wildcard.
  for (const type of [mediaTypes.consumes, '*']) {
    app.addContentTypeParser(type, { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) => body)
  }

  // Not async, and does not call `done` after a reply: Fastify would go on while the reply waits for its batch.
  app.addHook('onRequest', (request, reply, done) => {
    if (exists && !exists(request)) reply.callNotFound()
    else done()
  })
  async function checkRequest(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (request.method !== 'POST') throw new Refusal('method_not_allowed')
    if (!matcher.acceptsContentType(request)) {
      const expected = `${mediaTypes.consumes}${mediaTypes.charset === 'required' ? ';charset=UTF-8' : ''}`
      const explain = () => explainMediaType('Content-Type', request.headers['content-type'], expected)
      throw new Refusal('unsupported_media_type', { explain })
    }
    if (!matcher.canSatisfyAccept(request)) {
      const explain = () => explainMediaType('Accept', request.headers.accept, mediaTypes.produces)
      throw new Refusal('not_acceptable', { explain })
    }
    await authenticate?.(request, reply)
  }
  for (const path of [url, `${url}/`]) {
    app.route({ method: app.supportedMethods, url: path, exposeHeadRoute: false, onRequest: checkRequest, handler })
  }
}

// Rejects invalid UTF-8: replacement characters could make two user names equal.
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Returns the body parsed as JSON, or undefined where it is invalid. */
export function readJson(request: FastifyRequest): unknown {
  try {
    return JSON.parse(utf8.decode(request.body as Buffer | undefined))
  } catch {
    return undefined
  }
}

/** Replies with this media type exactly: without a serializer, Fastify would append a charset (N14). */
export function setJson(reply: FastifyReply, mediaType = JSON_TYPE): void {
  reply.header('content-type', mediaType).header('cache-control', 'no-store').serializer(JSON.stringify)
}

const compiledParams = z.compile(operationParams)

/** Returns whether the path names an existing operation (N2). */
export function hasKnownOperation({ params }: FastifyRequest): boolean {
  return compiledParams.safeParse(params).success
}

/** Returns the operation of a request for which {@link hasKnownOperation} holds. */
export function operationOf({ params }: FastifyRequest): FidoOperation {
  return compiledParams.parse(params).operation
}
