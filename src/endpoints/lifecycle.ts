import formbody from '@fastify/formbody'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Inspection, Lifecycle } from '../core/lifecycle.ts'
import { createParameterReader, type ReadParameters } from '../http/form-parameters.ts'
import { Refusal } from '../http/refusal.ts'
import { requestFields } from '../observability/audit-log.ts'
import { createLifecycleErrorHandler } from './errors.ts'
import { type Origin, toIntrospection } from './introspection.ts'
import { createAuthenticateResourceServer, type ResourceServerOptions } from './resource-servers.ts'

export interface LifecycleRoutesOptions extends ResourceServerOptions {
  readonly lifecycle: Lifecycle
  readonly origin: Origin
}

/** The form of both (RFC 7662 section 2.1, RFC 7009 section 2.1), with the caller's credentials where no header has them. */
export const tokenForm = z.object({
  token: z.string().min(1).meta({ example: '4f1f6a7c-2f64-4b8a-9d0e-3f0f4f6d8a11' }),
  token_type_hint: z
    .string()
    .optional()
    .meta({ description: 'Accepted and ignored: a token says itself what it is.', example: 'access_token' }),
  client_id: z.string().optional().meta({ description: 'With client_secret, in place of HTTP Basic.', example: '' }),
  client_secret: z.string().optional().meta({ format: 'password', example: '' }),
})

const readForm = createParameterReader(Object.keys(tokenForm.shape))

interface Asked {
  readonly token: string
  readonly caller: { readonly resourceServer: string; readonly secretSlot: number }
}

/**
 * Introspection (RFC 7662) and revocation (RFC 7009) of all three kinds of token, for resource servers.
 */
export const lifecycleRoutes: FastifyPluginAsync<LifecycleRoutesOptions> = async (app, options) => {
  const { lifecycle, origin, audit } = options
  app.setErrorHandler(createLifecycleErrorHandler(audit))
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store')
    done()
  })
  const authenticate = await createAuthenticateResourceServer(app, options)

  app.removeAllContentTypeParsers()
  await app.register(formbody, { parser: (text) => ({ ...readForm(text) }) })
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, undefined))

  serve('/introspect', async (request, reply) => {
    const { token, caller } = await read(request, reply)
    const inspection = await lifecycle.inspect(token)
    if (inspection) audit.introspected({ ...requestFields(request), ...nameOf(inspection), ...caller })
    return toIntrospection(inspection, origin)
  })

  serve('/revoke', async (request, reply) => {
    const { token, caller } = await read(request, reply)
    const revoked = await lifecycle.revoke(token)
    if (revoked) audit.revoked({ ...requestFields(request), ...revoked, ...caller })
    // What is not known is as good as revoked (RFC 7009 section 2.2).
    return reply.send()
  })

  function serve(url: string, handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>): void {
    app.route({ method: 'POST', url, handler })
    const others = app.supportedMethods.filter((method) => method !== 'POST')
    app.route({ method: others, url, exposeHeadRoute: false, onRequest: refuseMethod, handler: refuseMethod })
  }

  async function read(request: FastifyRequest, reply: FastifyReply): Promise<Asked> {
    const { values, repeated } = (request.body ?? { values: {}, repeated: [] }) as ReadParameters
    // Before the credentials: of two, nobody can say which is meant.
    if (repeated.length > 0) throw new Refusal('bad_parameter', { parameters: repeated })
    const caller = await authenticate(request, reply, values)
    const form = tokenForm.safeParse(values)
    if (!form.success)
      throw new Refusal('bad_parameter', { resourceServer: caller.resourceServer, parameters: ['token'] })
    return { token: form.data.token, caller }
  }

  async function refuseMethod(): Promise<never> {
    throw new Refusal('method_not_allowed')
  }
}

function nameOf(inspection: Inspection) {
  switch (inspection.contract) {
    case 'bws':
      return { contract: 'bws', tokenId: inspection.token.tokenId } as const
    case 'idscan':
      return { contract: 'idscan', tokenId: inspection.claims.jti } as const
    case 'nevisfido':
      return { contract: 'nevisfido', tokenId: inspection.record.tokenDigest } as const
  }
}
