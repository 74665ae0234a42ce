import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { type FidoContext, readContext } from '../../core/fido/context.ts'
import { issueFidoToken } from '../../core/fido/issue.ts'
import { UAF_OPERATIONS } from '../../core/fido/operation.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import type { Caller } from './caller.ts'
import { createClientAuthentication } from './client-authentication.ts'
import { numericRefusals } from './errors.ts'
import { explainContents } from './explanations.ts'
import type { NevisfidoOptions } from './options.ts'
import { type CreateTokenReply, createTokenBody } from './schema.ts'
import { hasKnownOperation, JSON_TYPE, operationOf, readJson, serve, setJson, UAF } from './service.ts'

const CALLER = 'nevisfidoCaller'

/** Serves the Create Token Service (N1 to N16). */
export const createService: FastifyPluginAsync<NevisfidoOptions> = async (app, options) => {
  const { issuer, audit, sessions, negotiation, protect, maxAnonymousContextBytes, users } = options
  const authenticate = await createClientAuthentication(app, options)
  const policies = new Set([...issuer.policies.keys(), 'default'])
  app.decorateRequest(CALLER, undefined)

  serve(app, {
    url: '/nevisfido/token/create/:operation',
    mediaTypes: { consumes: UAF, charset: 'required', produces: JSON_TYPE },
    negotiation,
    refusals: numericRefusals,
    audit,
    exists: hasKnownOperation,
    async authenticate(request, reply) {
      // An unprotected operation ignores Authorization (N7).
      if (protect.has(operationOf(request))) request.setDecorator(CALLER, await authenticate(request, reply))
    },
    handler: create,
  })

  async function create(request: FastifyRequest, reply: FastifyReply): Promise<CreateTokenReply> {
    const operation = operationOf(request)
    const caller = request.getDecorator<Caller | undefined>(CALLER)
    const audited = { client: caller?.client, operation }
    const body = createTokenBody.safeParse(readJson(request))
    if (!body.success) {
      throw new Refusal('bad_body', {
        ...audited,
        explain: () => 'the body has to be JSON with op and context, both text',
      })
    }
    const contextBytes = Buffer.byteLength(body.data.context)
    if (!caller && contextBytes > maxAnonymousContextBytes) {
      const explain = () =>
        `the context has ${contextBytes} bytes; without credentials, anonymous.maxContextBytes allows ${maxAnonymousContextBytes}`
      throw new Refusal('bad_contents', { ...audited, explain })
    }
    const parsed = readContext(operation, body.data.context, policies)
    if (body.data.op !== UAF_OPERATIONS[operation] || !parsed) {
      const explain = () => explainContents(operation, body.data.op, policies)
      throw new Refusal('bad_contents', { ...audited, explain })
    }
    const context = withDefaultUser(parsed, caller)
    if (caller && !mayActFor(caller, context.username)) {
      const explain = () =>
        `the list nevisfido.clients[${caller.client}].users does not have ${context.username ?? 'a request without a user'}`
      throw new Refusal('user_not_allowed', { ...audited, explain })
    }
    if (!isKnownUser(context.username)) {
      throw new Refusal('unknown_user', {
        ...audited,
        explain: () => `the list nevisfido.users does not have ${context.username}`,
      })
    }
    const { token, sessionId, tokenId, expiresAt } = await issueFidoToken(context, caller?.client, issuer)
    sessions.add(expiresAt)
    const { secretSlot } = caller ?? {}
    audit.issued({ contract: 'nevisfido', ...audited, secretSlot, tokenId, ...requestFields(request) })
    setJson(reply)
    return { token, sessionId, statusCode: 1200 }
  }

  function isKnownUser(username: string | undefined): boolean {
    return username === undefined || users === '*' || users.has(username)
  }
}

function withDefaultUser(context: FidoContext, caller: Caller | undefined): FidoContext {
  if (context.operation !== 'authentication') return context
  return { ...context, username: context.username ?? caller?.defaultUser }
}

function mayActFor({ users }: Caller, username: string | undefined): boolean {
  return users === '*' || (username !== undefined && users.has(username))
}
