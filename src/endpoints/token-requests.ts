import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { createErrorHandler } from '../http/error-handler.ts'
import { createParameterReader, NO_PARAMETERS, type ReadParameters, requireReadable } from '../http/form-parameters.ts'
import { refuseOtherMethods } from '../http/other-methods.ts'
import { Refusal } from '../http/refusal.ts'
import { serviceRefusals } from './errors.ts'
import {
  createResourceServerAuthentication,
  type ResourceServer,
  type ResourceServerOptions,
} from './resource-servers.ts'

/** The form of introspection and revocation (RFC 7662 section 2.1, RFC 7009 section 2.1). */
export const tokenForm = z.object({
  token: z.string().min(1).meta({ example: '4f1f6a7c-2f64-4b8a-9d0e-3f0f4f6d8a11' }),
  token_type_hint: z
    .string()
    .optional()
    .meta({ description: 'Accepted and ignored: a token shows its own type.', example: 'access_token' }),
  client_id: z.string().optional().meta({ description: 'With client_secret, instead of HTTP Basic.', example: '' }),
  client_secret: z.string().optional().meta({ format: 'password', example: '' }),
})

const readForm = createParameterReader(Object.keys(tokenForm.shape))

interface TokenRequest extends ResourceServer {
  readonly token: string
}

/**
 * Serves a POST of a token by an authenticated resource server.
 *
 * @param handle returns the body, or the reply once it has sent it.
 */
export async function serveTokenRequests(
  app: FastifyInstance,
  url: string,
  options: ResourceServerOptions,
  handle: (tokenRequest: TokenRequest, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
): Promise<void> {
  app.setErrorHandler(createErrorHandler(serviceRefusals, options.audit))
  app.removeAllContentTypeParsers()
  await app.register(formbody, { parser: (text) => ({ ...readForm(text) }) })
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async () => undefined)
  const authenticate = await createResourceServerAuthentication(app, options)

  app.post(url, async (request, reply) => {
    const tokenRequest = await readTokenRequest(request, reply)
    reply.header('cache-control', 'no-store')
    return handle(tokenRequest, request, reply)
  })
  refuseOtherMethods(app, url, ['POST'])

  async function readTokenRequest(request: FastifyRequest, reply: FastifyReply): Promise<TokenRequest> {
    const read = (request.body ?? NO_PARAMETERS) as ReadParameters
    // Before the credentials, which may be among these parameters.
    requireReadable(read)
    const { resourceServer, secretSlot } = await authenticate(request, reply, read.values)
    const form = tokenForm.safeParse(read.values)
    if (!form.success) throw new Refusal('bad_parameter', { resourceServer, parameters: ['token'] })
    return { token: form.data.token, resourceServer, secretSlot }
  }
}
