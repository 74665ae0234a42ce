import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Audit } from '../../audit.ts'
import { type FidoContext, readContext } from '../../core/fido/context.ts'
import { digestId, type FidoIssuer, issueFidoToken } from '../../core/fido/issue.ts'
import { type FidoOperation, UAF_OPERATIONS } from '../../core/fido/operation.ts'
import { statusOf } from '../../core/fido/status.ts'
import { Refusal } from '../../refusal.ts'
import { type BearerIssuer, type Caller, type CallerParts, createAuthenticate } from './callers.ts'
import { alwaysOk, sendJson, statusServiceCode } from './errors.ts'
import type { Negotiation } from './negotiation.ts'
import { createTokenBody, fidoOperation, redeemTokenBody, statusBody } from './schema.ts'
import { readJson, serve } from './service.ts'

export interface NevisfidoRoutesOptions extends Omit<CallerParts, 'clock'> {
  readonly issuer: FidoIssuer
  readonly audit: Audit
  readonly negotiation: Negotiation
  /** Operations that need credentials. */
  readonly protect: ReadonlySet<FidoOperation>
  /** The credential repository (N12). */
  readonly users: ReadonlySet<string> | '*'
  readonly bearer: BearerIssuer | undefined
}

const UAF = 'application/fido+uaf'
const JSON_TYPE = 'application/json'

const hasKnownOperation = ({ params }: FastifyRequest): boolean => fidoOperation.safeParse(operationIn(params)).success
const operationOf = ({ params }: FastifyRequest): FidoOperation => fidoOperation.parse(operationIn(params))

function operationIn(params: unknown): unknown {
  return (params as { operation?: unknown }).operation
}

/**
 * nevisFIDO's Create Token Service, and the two that its token and its session go to.
 *
 * @see docs/contracts/nevisfido.md
 */
export const nevisfidoRoutes: FastifyPluginAsync<NevisfidoRoutesOptions> = async (app, options) => {
  await app.register(createService, options)
  await app.register(redeemService, options)
  await app.register(statusService, options)
}

const createService: FastifyPluginAsync<NevisfidoRoutesOptions> = async (app, options) => {
  const { issuer, audit, negotiation, protect, users } = options
  const authenticate = await createAuthenticate(app, { ...options, clock: issuer.clock })
  const policies = new Set([...issuer.policies.keys(), 'default'])
  const callers = new WeakMap<FastifyRequest, Caller>()

  serve(app, {
    url: '/nevisfido/token/create/:operation',
    mediaTypes: { takes: UAF, charset: 'required', gives: JSON_TYPE },
    negotiation,
    httpStatusOf: alwaysOk,
    audit,
    exists: hasKnownOperation,
    authenticate: async (request, reply) => {
      // An unprotected operation never looks at Authorization (N7).
      if (protect.has(operationOf(request))) callers.set(request, await authenticate(request, reply))
    },
    handler: create,
  })

  async function create(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const operation = operationOf(request)
    const caller = callers.get(request)
    const refusal = { client: caller?.client, operation }
    const body = createTokenBody.safeParse(readJson(request))
    if (!body.success) throw new Refusal('bad_body', refusal)
    const asked = readContext(operation, body.data.context, policies)
    if (body.data.op !== UAF_OPERATIONS[operation] || !asked) throw new Refusal('bad_contents', refusal)
    const context: FidoContext =
      asked.operation === 'authentication' ? { ...asked, username: asked.username ?? caller?.defaultUser } : asked
    if (caller && !mayActFor(caller, context.username)) throw new Refusal('user_not_allowed', refusal)
    if (!isKnownUser(context.username)) throw new Refusal('unknown_user', refusal)

    const { token, sessionId, tokenId } = await issueFidoToken(context, caller?.client, issuer)
    audit.issued({ contract: 'nevisfido', ...refusal, tokenId, address: request.ip, requestId: request.id })
    return sendJson(reply, { token, sessionId, statusCode: 1200 })
  }

  function mayActFor(caller: Caller, username: string | undefined): boolean {
    return caller.users === '*' || (username !== undefined && caller.users.has(username))
  }

  function isKnownUser(username: string | undefined): boolean {
    return username === undefined || users === '*' || users.has(username)
  }
}

/** What each outcome of a redemption that is none is told as. */
const REDEMPTION_REFUSALS = {
  unknown: 'unknown_token',
  spent: 'token_spent',
  expired: 'token_expired',
  misdirected: 'wrong_operation',
} as const

const redeemService: FastifyPluginAsync<NevisfidoRoutesOptions> = async (app, { issuer, audit, negotiation }) => {
  serve(app, {
    url: '/nevisfido/token/redeem/:operation',
    mediaTypes: { takes: JSON_TYPE, charset: 'optional', gives: UAF },
    negotiation,
    httpStatusOf: alwaysOk,
    audit,
    exists: hasKnownOperation,
    handler: redeem,
  })

  async function redeem(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const operation = operationOf(request)
    const body = redeemTokenBody.safeParse(readJson(request))
    if (!body.success) throw new Refusal('bad_body', { operation })
    const tokenId = digestId(body.data.token)
    const redemption = await issuer.store.redeem(tokenId, operation, issuer.clock())
    if (redemption.outcome !== 'redeemed') throw new Refusal(REDEMPTION_REFUSALS[redemption.outcome], { operation })

    const { uafRequest, responseLifetime, client } = redemption.record
    audit.redeemed({ contract: 'nevisfido', client, operation, tokenId, address: request.ip, requestId: request.id })
    const answer = { statusCode: 1200, uafRequest, op: UAF_OPERATIONS[operation], lifetimeMillis: responseLifetime }
    return sendJson(reply, answer, `${UAF};charset=UTF-8`)
  }
}

const statusService: FastifyPluginAsync<NevisfidoRoutesOptions> = async (app, { issuer, audit, negotiation }) => {
  serve(app, {
    url: '/nevisfido/status',
    mediaTypes: { takes: JSON_TYPE, charset: 'optional', gives: JSON_TYPE },
    negotiation,
    httpStatusOf: statusServiceCode,
    audit,
    handler: status,
  })

  async function status(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const body = statusBody.safeParse(readJson(request))
    if (!body.success) throw new Refusal('bad_body')
    const now = issuer.clock()
    const record = await issuer.store.findBySession(digestId(body.data.sessionId), now)
    // Of what is not known, there is no change to tell the time of; callers that read one get this one.
    const { status, changedAt, tokenResult, uafStatusCode } = record
      ? statusOf(record, now)
      : ({ status: 'unknown', changedAt: now } as const satisfies ReturnType<typeof statusOf>)
    return sendJson(reply, {
      status,
      timestamp: new Date(changedAt).toISOString(),
      userId: record?.username,
      uafStatusCode,
      tokenInformation: tokenResult && { tokenResult },
    })
  }
}
