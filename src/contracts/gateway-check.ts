import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'

/** What a valid token says, for the service behind the gateway. Members without a value become no header. */
export type Identity = Readonly<Record<`x-trimint-${string}`, string | number | undefined>>

/**
 * Serves a check that a gateway makes before it passes a request to the vendor's other APIs. Every method is answered
 * alike, since some gateways send the method of the original request. Bodies are never read.
 *
 * @param params schema of the path; a path that does not match is 404.
 * @param check returns what the token says, or throws the refusal.
 * @see docs/gateways.md
 */
export function serveGatewayCheck<Params extends z.ZodType>(
  app: FastifyInstance,
  url: string,
  params: Params,
  check: (request: FastifyRequest, params: z.output<Params>) => Promise<Identity>,
): void {
  const compiledParams = z.compile(params)

  // A hook, because Fastify reads the body before it calls a handler. It is not async, and does not call `done` after a
  // reply: Fastify would read the body while the reply waits for its batch.
  function answer(request: FastifyRequest, reply: FastifyReply, done: (error: Error) => void): void {
    const parsed = compiledParams.safeParse(request.params)
    if (!parsed.success) return void reply.callNotFound()
    check(request, parsed.data)
      .then((identity) => {
        reply.headers(identityHeaders(identity)).header('cache-control', 'no-store').send()
      })
      .catch(done)
  }

  app.route({
    method: app.supportedMethods,
    url,
    exposeHeadRoute: false,
    onRequest: answer,
    handler: (_request, reply) => reply,
  })
}

function identityHeaders(identity: Identity): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(identity)) {
    if (value !== undefined && value !== '') headers[name] = encodeHeaderValue(String(value))
  }
  return headers
}

/** Encodes all but visible ASCII as percent-encoded UTF-8 (RFC 3986 section 2.1). decodeURIComponent reads it back. */
function encodeHeaderValue(text: string): string {
  return text.replace(/[^!-$&-~]+/g, (unsafe) => encodeURIComponent(unsafe.toWellFormed()))
}
