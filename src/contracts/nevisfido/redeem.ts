import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { numericRefusals } from './errors.ts'
import { REDEMPTION_EXPLANATIONS } from './explanations.ts'
import type { NevisfidoOptions } from './options.ts'
import { REDEMPTION_REFUSALS, toRedeemReply } from './redemption.ts'
import { type RedeemTokenReply, redeemTokenBody } from './schema.ts'
import { hasKnownOperation, JSON_TYPE, operationOf, readJson, serve, setJson, UAF, UAF_UTF8 } from './service.ts'

/** Redeems tokens (N17 to N25). */
export const redeemService: FastifyPluginAsync<NevisfidoOptions> = async (app, { tokens, audit, negotiation }) => {
  serve(app, {
    url: '/nevisfido/token/redeem/:operation',
    mediaTypes: { consumes: JSON_TYPE, charset: 'optional', produces: UAF },
    negotiation,
    refusals: numericRefusals,
    audit,
    exists: hasKnownOperation,
    handler: redeem,
  })

  async function redeem(request: FastifyRequest, reply: FastifyReply): Promise<RedeemTokenReply> {
    const operation = operationOf(request)
    const body = redeemTokenBody.safeParse(readJson(request))
    if (!body.success) throw new Refusal('bad_body', { operation })
    const { token } = body.data
    const redemption = await tokens.redeem(token, operation)
    if (redemption.outcome !== 'redeemed') {
      const { outcome } = redemption
      const explain = () => REDEMPTION_EXPLANATIONS[outcome](operation)
      throw new Refusal(REDEMPTION_REFUSALS[outcome], { operation, explain })
    }

    const { client, tokenDigest: tokenId } = redemption.record
    audit.redeemed({ contract: 'nevisfido', client, operation, tokenId, ...requestFields(request) })
    setJson(reply, UAF_UTF8)
    return toRedeemReply(redemption)
  }
}
