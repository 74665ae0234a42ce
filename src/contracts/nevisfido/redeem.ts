import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { digestId } from '../../core/fido/issue.ts'
import { UAF_OPERATIONS } from '../../core/fido/operation.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { numericRefusals } from './errors.ts'
import { REDEMPTION_EXPLANATIONS } from './explanations.ts'
import type { NevisfidoOptions } from './options.ts'
import { type RedeemTokenReply, redeemTokenBody } from './schema.ts'
import { hasKnownOperation, JSON_TYPE, operationOf, readJson, serve, setJson, UAF } from './service.ts'

/** The refusal for each failed redemption. */
const REDEMPTION_REFUSALS = {
  unknown: 'unknown_token',
  spent: 'token_spent',
  expired: 'token_expired',
  premature: 'token_not_yet_valid',
  misdirected: 'wrong_operation',
} as const

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

    const { uafRequest, responseLifetime, client } = redemption.record
    const tokenId = digestId(token)
    audit.redeemed({ contract: 'nevisfido', client, operation, tokenId, ...requestFields(request) })
    setJson(reply, `${UAF};charset=UTF-8`)
    return { statusCode: 1200, uafRequest, op: UAF_OPERATIONS[operation], lifetimeMillis: responseLifetime }
  }
}
