import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { clientNetwork } from '../core/address.ts'
import type { Clock } from '../core/clock.ts'
import { matchSecret, type SecretSlot } from '../core/crypto/secrets.ts'
import type { Guard } from '../core/guard.ts'
import { clientIp } from '../http/client-ip.ts'
import { Refusal } from '../http/refusal.ts'
import type { AuditLog } from '../observability/audit-log.ts'

/** Who checks tokens, by id. */
type ResourceServers = ReadonlyMap<string, readonly SecretSlot[]>

/** One of them, who has proved it. */
interface ResourceServer {
  readonly resourceServer: string
  /** Which of its secrets was given. */
  readonly secretSlot: number
}

export interface ResourceServerOptions {
  readonly resourceServers: ResourceServers
  readonly guard: Guard
  readonly clock: Clock
  readonly audit: AuditLog
}

/** What a form may hold of its caller (RFC 6749 section 2.3.1). */
interface FormCredentials {
  readonly client_id?: string | undefined
  readonly client_secret?: string | undefined
}

/** Says which resource server a request comes from, or refuses it. */
export type AuthenticateResourceServer = (
  request: FastifyRequest,
  reply: FastifyReply,
  form: FormCredentials,
) => Promise<ResourceServer>

/** HTTP Basic, or id and secret in the form; not both. */
export async function createAuthenticateResourceServer(
  app: FastifyInstance,
  { resourceServers, guard, clock, audit }: ResourceServerOptions,
): Promise<AuthenticateResourceServer> {
  const callers = new WeakMap<FastifyRequest, ResourceServer>()
  await app.register(basicAuth, {
    authenticate: { realm: 'Trimint' },
    strictCredentials: false,
    async validate(id, secret, request) {
      callers.set(request, await check(candidatesOf(id, secret), request))
    },
  })

  async function check(candidates: readonly Credentials[], request: FastifyRequest): Promise<ResourceServer> {
    const attempt = { address: clientNetwork(clientIp(request)) }
    const retryAfter = guard.blockedFor(attempt)
    if (retryAfter > 0) throw new Refusal('blocked', { retryAfter })
    let known: string | undefined
    for (const { id, secret } of candidates) {
      const slots = resourceServers.get(id)
      if (slots) known = id
      const secretSlot = matchSecret(secret, slots, clock())
      if (secretSlot === undefined) continue
      audit.secretUsed('resource_server', secretSlot)
      return { resourceServer: id, secretSlot }
    }
    await guard.fail(attempt)
    throw known === undefined
      ? new Refusal('unknown_resource_server')
      : new Refusal('bad_secret', { resourceServer: known })
  }

  return async (request, reply, { client_id: id, client_secret: secret }) => {
    if (!request.headers.authorization && id !== undefined && secret !== undefined) {
      return check([{ id, secret }], request)
    }
    if (secret) throw new Refusal('bad_parameter', { parameters: ['client_secret'] })
    await new Promise<void>((resolve, reject) => {
      app.basicAuth.call(app, request, reply, (error) => (error ? reject(error) : resolve()))
    })
    return callers.get(request) as ResourceServer
  }
}

interface Credentials {
  readonly id: string
  readonly secret: string
}

/** As they are sent, and as they are meant by those who encode them first, as RFC 6749 section 2.3.1 says. */
function candidatesOf(id: string, secret: string): Credentials[] {
  const decoded = { id: decodeForm(id), secret: decodeForm(secret) }
  return [{ id, secret }, decoded]
}

function decodeForm(text: string): string {
  return new URLSearchParams(`=${text.replaceAll('&', '%26')}`).get('') ?? text
}
