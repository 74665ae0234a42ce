import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { Audit } from '../../audit.ts'
import type { FidoOperation } from '../../core/fido/operation.ts'
import { Refusal } from '../../refusal.ts'
import { createErrorHandler, type HttpStatusOf } from './errors.ts'
import { isGiven, isTaken, type MediaTypes, type Negotiation } from './negotiation.ts'
import { operationParams } from './schema.ts'

export const UAF = 'application/fido+uaf'
export const JSON_TYPE = 'application/json'

/** What the three services of this contract have in common. */
export interface ServiceDescription {
  readonly url: string
  readonly mediaTypes: MediaTypes
  readonly negotiation: Negotiation
  readonly httpStatusOf: HttpStatusOf
  readonly audit: Audit
  /** Whether there is something at this path at all; asked first. */
  readonly exists?: (request: FastifyRequest) => boolean
  /** Credentials; asked after the media types, before the body is read. */
  readonly authenticate?: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
  readonly handler: RouteHandlerMethod
}

/**
 * Serves POST at a path, with or without a slash behind it, in the order of N1: path, method, Content-Type, Accept, credentials,
 * body. The handler gets the body as bytes, see {@link readJson}.
 */
export function serve(app: FastifyInstance, service: ServiceDescription): void {
  const { url, mediaTypes, negotiation, exists, authenticate, handler } = service
  app.setErrorHandler(createErrorHandler(service.audit, service.httpStatusOf))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  app.addHook('onRequest', async (request, reply) => {
    if (exists && !exists(request)) return reply.callNotFound()
    if (request.method !== 'POST') throw new Refusal('method_not_allowed')
    if (!isTaken(request, mediaTypes, negotiation)) throw new Refusal('unsupported_media_type')
    if (!isGiven(request, mediaTypes, negotiation)) throw new Refusal('not_acceptable')
    await authenticate?.(request, reply)
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

/** Whether the path names an operation that there is (N2). */
export function hasKnownOperation({ params }: FastifyRequest): boolean {
  return operationParams.safeParse(params).success
}

/** Of a request whose operation is known. */
export function operationOf({ params }: FastifyRequest): FidoOperation {
  return operationParams.parse(params).operation
}
