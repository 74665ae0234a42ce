import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type FidoContext, readContext } from '../../core/fido/context.ts'
import { type FidoOperation, UAF_OPERATIONS } from '../../core/fido/operation.ts'
import { Refusal } from '../../http/refusal.ts'
import type { Caller } from './caller.ts'
import { createClientAuthentication } from './client-authentication.ts'
import { explainContents } from './explanations.ts'
import type { NevisfidoOptions } from './options.ts'
import { createTokenBody } from './schema.ts'
import { operationOf, readJson } from './service.ts'

const CALLER = 'nevisfidoCaller'

/** A GetUAFRequest that the caller may make. */
interface TokenRequest {
  readonly context: FidoContext
  readonly secretSlot: number | undefined
  /** Fields of the audit log. */
  readonly audited: { readonly client: string | undefined; readonly operation: FidoOperation }
}

/** What the create service and the request services have in common (N7 to N12, U2, U4). */
export interface TokenRequests {
  /** Checks the caller's credentials where the operation is protected. */
  authenticate(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Reads the body. @throws Refusal for a request that is invalid or not allowed. */
  read(request: FastifyRequest): TokenRequest
}

export async function createTokenRequests(app: FastifyInstance, options: NevisfidoOptions): Promise<TokenRequests> {
  const { issuer, protect, maxAnonymousContextBytes, users } = options
  const authenticate = await createClientAuthentication(app, options)
  const policies = new Set([...issuer.policies.keys(), 'default'])
  app.decorateRequest(CALLER, undefined)

  return {
    async authenticate(request, reply) {
      // An unprotected operation ignores Authorization (N7).
      if (protect.has(operationOf(request))) request.setDecorator(CALLER, await authenticate(request, reply))
    },
    read(request) {
      const operation = operationOf(request)
      const caller = request.getDecorator<Caller | undefined>(CALLER)
      const audited = { client: caller?.client, operation }
      const body = createTokenBody.safeParse(readJson(request))
      if (!body.success) {
        const explain = (): string => 'the body has to be JSON with op and context, both text'
        throw new Refusal('bad_body', { ...audited, explain })
      }
      const contextBytes = Buffer.byteLength(body.data.context)
      if (!caller && contextBytes > maxAnonymousContextBytes) {
        const explain = (): string =>
          `the context has ${contextBytes} bytes; without credentials, anonymous.maxContextBytes allows ${maxAnonymousContextBytes}`
        throw new Refusal('bad_contents', { ...audited, explain })
      }
      const parsed = readContext(operation, body.data.context, policies)
      if (body.data.op !== UAF_OPERATIONS[operation] || !parsed) {
        const explain = (): string => explainContents(operation, body.data.op, policies)
        throw new Refusal('bad_contents', { ...audited, explain })
      }
      const context = withDefaultUser(parsed, caller)
      if (caller && !mayActFor(caller, context.username)) {
        const explain = (): string =>
          `the list nevisfido.clients[${caller.client}].users does not have ${context.username ?? 'a request without a user'}`
        throw new Refusal('user_not_allowed', { ...audited, explain })
      }
      if (!isKnownUser(context.username)) {
        const explain = (): string => `the list nevisfido.users does not have ${context.username}`
        throw new Refusal('unknown_user', { ...audited, explain })
      }
      return { context, secretSlot: caller?.secretSlot, audited }
    },
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
