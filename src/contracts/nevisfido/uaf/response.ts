import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { UAF_OPERATIONS } from '../../../core/fido/operation.ts'
import type { AnsweredOperation, ResponseResult } from '../../../core/fido/responses.ts'
import { readAsmStatusCode, readUafResponse } from '../../../core/uaf/response.ts'
import { Refusal, type RefusalReason } from '../../../http/refusal.ts'
import { requestFields } from '../../../observability/audit-log.ts'
import type { NevisfidoOptions } from '../options.ts'
import { readJson, serve, setJson, UAF, UAF_UTF8 } from '../service.ts'
import { uafRefusals } from './errors.ts'
import { type ResponseReply, responseBody } from './schema.ts'

export interface ResponseServiceOptions extends NevisfidoOptions {
  readonly operation: AnsweredOperation
}

/** The refusal for each result that does not settle the session. */
const REFUSALS = {
  unknown: 'unknown_session',
  misdirected: 'wrong_operation',
  ended: 'session_ended',
  late: 'response_late',
} as const

/** Takes the responses of FIDO clients to requests of one operation (U7 to U34). */
export const responseService: FastifyPluginAsync<ResponseServiceOptions> = async (app, options) => {
  const { operation, responses, audit, negotiation } = options

  serve(app, {
    url: `/nevisfido/uaf/1.1/${operation}`,
    mediaTypes: { consumes: UAF, charset: 'required', produces: UAF },
    negotiation,
    refusals: uafRefusals,
    audit,
    handler: take,
  })

  async function take(request: FastifyRequest, reply: FastifyReply): Promise<ResponseReply> {
    const body = responseBody.safeParse(readJson(request))
    const response = body.success ? readUafResponse(body.data.uafResponse) : undefined
    if (!body.success || !response) throw new Refusal('bad_body', { operation })
    if (response.header.op !== UAF_OPERATIONS[operation]) throw new Refusal('wrong_operation', { operation })
    const result = await responses.take(operation, response, readAsmStatusCode(body.data.context))
    if (result.outcome !== 'succeeded') throw new Refusal(reasonOf(result), { operation, ...describeSession(result) })
    const { client, tokenDigest: tokenId } = result.record
    audit.answered({ contract: 'nevisfido', operation, client, tokenId, ...requestFields(request) })
    setJson(reply, UAF_UTF8)
    return { statusCode: 1200 }
  }
}

function describeSession(result: ResponseResult) {
  return 'record' in result ? { client: result.record.client, tokenId: result.record.tokenDigest } : {}
}

function reasonOf(result: Exclude<ResponseResult, { outcome: 'succeeded' }>): RefusalReason {
  return result.outcome === 'failed' ? result.failure : REFUSALS[result.outcome]
}
