import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { type FidoContext, readContext } from '../../core/fido/context.ts'
import { issueFidoToken } from '../../core/fido/issue.ts'
import { UAF_OPERATIONS } from '../../core/fido/operation.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { type Caller, callerOf, createAuthenticate } from './callers.ts'
import { alwaysOk, setJson } from './errors.ts'
import type { NevisfidoOptions } from './options.ts'
import { type CreateTokenReply, createTokenBody } from './schema.ts'
import { hasKnownOperation, JSON_TYPE, operationOf, readJson, serve, UAF } from './service.ts'

/** The Create Token Service (N1 to N16). */
export const createService: FastifyPluginAsync<NevisfidoOptions> = async (app, options) => {
  const { issuer, audit, sessions, negotiation, protect, users } = options
  const authenticate = await createAuthenticate(app, { ...options, clock: issuer.clock })
  const policies = new Set([...issuer.policies.keys(), 'default'])

  serve(app, {
    url: '/nevisfido/token/create/:operation',
    mediaTypes: { consumes: UAF, charset: 'required', produces: JSON_TYPE },
    negotiation,
    httpStatusOf: alwaysOk,
    audit,
    exists: hasKnownOperation,
    authenticate(request, reply, done) {
      // An unprotected operation never looks at Authorization (N7).
      if (protect.has(operationOf(request))) authenticate(request, reply, done)
      else done()
    },
    handler: create,
  })

  async function create(request: FastifyRequest, reply: FastifyReply): Promise<CreateTokenReply> {
    const operation = operationOf(request)
    const caller = callerOf(request)
    const refusal = { client: caller?.client, operation }
    const body = createTokenBody.safeParse(readJson(request))
    if (!body.success) throw new Refusal('bad_body', refusal)
    const asked = readContext(operation, body.data.context, policies)
    if (body.data.op !== UAF_OPERATIONS[operation] || !asked) throw new Refusal('bad_contents', refusal)
    const context: FidoContext =
      asked.operation === 'authentication' ? { ...asked, username: asked.username ?? caller?.defaultUser } : asked
    if (caller && !mayActFor(caller, context.username)) throw new Refusal('user_not_allowed', refusal)
    if (!isKnownUser(context.username)) throw new Refusal('unknown_user', refusal)

    const { token, sessionId, tokenId, expiresAt } = await issueFidoToken(context, caller?.client, issuer)
    sessions.add(expiresAt)
    audit.issued({
      contract: 'nevisfido',
      ...refusal,
      secretSlot: caller?.secretSlot,
      tokenId,
      ...requestFields(request),
    })
    setJson(reply)
    return { token, sessionId, statusCode: 1200 }
  }

  function mayActFor(caller: Caller, username: string | undefined): boolean {
    return caller.users === '*' || (username !== undefined && caller.users.has(username))
  }

  function isKnownUser(username: string | undefined): boolean {
    return username === undefined || users === '*' || users.has(username)
  }
}
