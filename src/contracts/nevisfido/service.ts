import type { FastifyInstance, FastifyRequest, RouteHandlerMethod } from 'fastify'
import { z } from 'zod'
import type { FidoOperation } from '../../core/fido/operation.ts'
import { Refusal } from '../../http/refusal.ts'
import type { AuditLog } from '../../observability/audit-log.ts'
import type { Authenticate } from './callers.ts'
import { createErrorHandler, type HttpStatusOf } from './errors.ts'
import { createMediaTypeMatcher, type MediaTypes, type Negotiation } from './negotiation.ts'
import { operationParams } from './schema.ts'

export const UAF = 'application/fido+uaf'
export const JSON_TYPE = 'application/json'

/** What the three services of this contract have in common. */
export interface ServiceDescription {
  readonly url: string
  readonly mediaTypes: MediaTypes
  readonly negotiation: Negotiation
  readonly httpStatusOf: HttpStatusOf
  readonly audit: AuditLog
  /** Whether there is something at this path at all; asked first. */
  readonly exists?: (request: FastifyRequest) => boolean
  /** Credentials; asked after the media types, before the body is read. */
  readonly authenticate?: Authenticate
  /** Returns the body. Where a promise brings the reply itself, Fastify waits for its end, with a dozen listeners. */
  readonly handler: RouteHandlerMethod
}

/**
 * Serves POST at a path, with or without a slash behind it, in the order of N1: path, method, Content-Type, Accept, credentials,
 * body. The handler gets the body as bytes, see {@link readJson}.
 */
export function serve(app: FastifyInstance, service: ServiceDescription): void {
  const { url, mediaTypes, negotiation, exists, handler } = service
  const judge = createMediaTypeMatcher(mediaTypes, negotiation)
  const authenticate: Authenticate = service.authenticate ?? ((_request, _reply, done) => done())
  app.setErrorHandler(createErrorHandler(service.audit, service.httpStatusOf))
  app.removeAllContentTypeParsers()
  // By name as well: what a parser has no name for is looked for anew with every request.
  for (const type of [mediaTypes.consumes, '*']) {
    app.addContentTypeParser(type, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  }

  app.addHook('onRequest', (request, reply, done) => {
    if (exists && !exists(request)) reply.callNotFound()
    else if (request.method !== 'POST') done(new Refusal('method_not_allowed'))
    else if (!judge.acceptsContentType(request)) done(new Refusal('unsupported_media_type'))
    else if (!judge.canSatisfyAccept(request)) done(new Refusal('not_acceptable'))
    else authenticate(request, reply, done)
  })
  for (const path of [url, `${url}/`]) {
    app.route({ method: app.supportedMethods, url: path, exposeHeadRoute: false, handler })
  }
}

// What is no UTF-8 is refused: replacing it would make one user name of two.
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The body as JSON; undefined for what is none. */
export function readJson(request: FastifyRequest): unknown {
  try {
    return JSON.parse(utf8.decode(request.body as Buffer | undefined))
  } catch {
    return undefined
  }
}

const compiledParams = z.compile(operationParams)

/** Whether the path names an operation that there is (N2). */
export function hasKnownOperation({ params }: FastifyRequest): boolean {
  return compiledParams.safeParse(params).success
}

/** Of a request whose operation is known. */
export function operationOf({ params }: FastifyRequest): FidoOperation {
  return compiledParams.parse(params).operation
}
