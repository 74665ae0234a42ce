import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { issueFidoToken } from '../../core/fido/issue.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { numericRefusals } from './errors.ts'
import type { NevisfidoOptions } from './options.ts'
import type { CreateTokenReply } from './schema.ts'
import { hasKnownOperation, JSON_TYPE, serve, setJson, UAF } from './service.ts'
import type { TokenRequests } from './token-request.ts'

export interface CreateOptions extends NevisfidoOptions {
  readonly requests: TokenRequests
}

/** Serves the Create Token Service (N1 to N16). */
export const createService: FastifyPluginAsync<CreateOptions> = async (app, options) => {
  const { issuer, audit, sessions, negotiation, requests } = options

  serve(app, {
    url: '/nevisfido/token/create/:operation',
    mediaTypes: { consumes: UAF, charset: 'required', produces: JSON_TYPE },
    negotiation,
    refusals: numericRefusals,
    audit,
    exists: hasKnownOperation,
    authenticate: requests.authenticate,
    handler: create,
  })

  async function create(request: FastifyRequest, reply: FastifyReply): Promise<CreateTokenReply> {
    const { context, audited, secretSlot } = requests.read(request)
    const { token, sessionId, tokenId, expiresAt } = await issueFidoToken(context, audited.client, issuer)
    sessions.add(expiresAt)
    audit.issued({ contract: 'nevisfido', ...audited, secretSlot, tokenId, ...requestFields(request) })
    setJson(reply)
    return { token, sessionId, statusCode: 1200 }
  }
}
