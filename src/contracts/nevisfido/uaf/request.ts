import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { issueFidoToken } from '../../../core/fido/issue.ts'
import { Refusal } from '../../../http/refusal.ts'
import { requestFields } from '../../../observability/audit-log.ts'
import type { CreateOptions } from '../create.ts'
import { REDEMPTION_REFUSALS, toRedeemReply } from '../redemption.ts'
import type { RedeemTokenReply } from '../schema.ts'
import { hasKnownOperation, serve, setJson, UAF, UAF_UTF8 } from '../service.ts'
import { uafRefusals } from './errors.ts'

/** Serves UAF requests to callers that hand them to the FIDO client themselves: create and redeem in one (U1 to U6). */
export const requestService: FastifyPluginAsync<CreateOptions> = async (app, options) => {
  const { issuer, tokens, audit, sessions, negotiation, requests } = options

  serve(app, {
    url: '/nevisfido/uaf/1.1/request/:operation',
    mediaTypes: { consumes: UAF, charset: 'required', produces: UAF },
    negotiation,
    refusals: uafRefusals,
    audit,
    exists: hasKnownOperation,
    authenticate: requests.authenticate,
    handler: create,
  })

  async function create(request: FastifyRequest, reply: FastifyReply): Promise<RedeemTokenReply> {
    const { context, audited, secretSlot } = requests.read(request)
    const { token, tokenId, expiresAt } = await issueFidoToken(context, audited.client, issuer)
    sessions.add(expiresAt)
    const redemption = await tokens.redeem(token, audited.operation)
    const decision = { contract: 'nevisfido', ...audited, secretSlot, tokenId, ...requestFields(request) } as const
    audit.issued(decision)
    if (redemption.outcome !== 'redeemed') throw new Refusal(REDEMPTION_REFUSALS[redemption.outcome], audited)
    audit.redeemed(decision)
    setJson(reply, UAF_UTF8)
    return toRedeemReply(redemption)
  }
}
