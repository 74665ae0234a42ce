import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { type SessionStatus, statusOf } from '../../core/fido/status.ts'
import { Refusal } from '../../http/refusal.ts'
import { statusRefusals } from './errors.ts'
import type { NevisfidoOptions } from './options.ts'
import { type StatusReply, statusBody } from './schema.ts'
import { JSON_TYPE, readJson, serve, setJson } from './service.ts'

/** Returns the status of sessions (N26 to N33, U35, U36). */
export const statusService: FastifyPluginAsync<NevisfidoOptions> = async (
  app,
  { issuer, tokens, audit, negotiation },
) => {
  serve(app, {
    url: '/nevisfido/status',
    mediaTypes: { consumes: JSON_TYPE, charset: 'optional', produces: JSON_TYPE },
    negotiation,
    refusals: statusRefusals,
    audit,
    handler: status,
  })

  async function status(request: FastifyRequest, reply: FastifyReply): Promise<StatusReply> {
    const body = statusBody.safeParse(readJson(request))
    if (!body.success) throw new Refusal('bad_body')
    const now = issuer.clock()
    const record = await tokens.findBySession(body.data.sessionId)
    // An unknown session has no last change. Clients parse a time, so it gets the current one.
    const known: SessionStatus = record ? statusOf(record, now) : { status: 'unknown', changedAt: now }
    const { status, changedAt, tokenResult, uafStatusCode, asmStatusCode, authenticators } = known
    setJson(reply)
    return {
      status,
      timestamp: new Date(changedAt).toISOString(),
      userId: record?.username ?? record?.outcome?.username,
      uafStatusCode,
      asmStatusCode,
      authenticators: authenticators && [...authenticators],
      tokenInformation: tokenResult && { tokenResult },
    }
  }
}
