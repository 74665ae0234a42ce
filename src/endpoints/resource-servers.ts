import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../core/clock.ts'
import type { SecretSlot } from '../core/crypto/secrets.ts'
import type { Guard } from '../core/guard.ts'
import { type Credentials, registerBasicAuth } from '../http/basic-auth.ts'
import { Refusal } from '../http/refusal.ts'
import type { AuditLog } from '../observability/audit-log.ts'

export interface ResourceServerOptions {
  /** By id. */
  readonly resourceServers: ReadonlyMap<string, { readonly secrets: readonly SecretSlot[] }>
  readonly guard: Guard
  readonly clock: Clock
  readonly audit: AuditLog
}

/** An authenticated resource server. */
export interface ResourceServer {
  readonly resourceServer: string
  /** The position of the secret that was given, counted from 0. */
  readonly secretSlot: number
}

/** Credentials in a form (RFC 6749 section 2.3.1). */
interface FormCredentials {
  readonly client_id?: string | undefined
  readonly client_secret?: string | undefined
}

/** Returns a function that authenticates a resource server, by HTTP Basic or in the form, but not by both. */
export async function createResourceServerAuthentication(
  app: FastifyInstance,
  { resourceServers, guard, clock, audit }: ResourceServerOptions,
): Promise<(request: FastifyRequest, reply: FastifyReply, form: FormCredentials) => Promise<ResourceServer>> {
  const basicAuth = await registerBasicAuth(app, {
    kind: 'resource_server',
    holders: resourceServers,
    guard,
    clock,
    audit,
    readings: (given) => [given, decodeCredentials(given)],
  })

  return async (request, reply, { client_id: id, client_secret: secret }) => {
    const isInForm = !request.headers.authorization && id !== undefined && secret !== undefined
    if (secret && !isInForm)
      throw new Refusal('bad_parameter', { parameters: ['client_secret'], message: misplaced(request) })
    const authenticated = isInForm
      ? await basicAuth.check(request, [{ id, secret }])
      : await basicAuth.authenticate(request, reply)
    return { resourceServer: authenticated.id, secretSlot: authenticated.secretSlot }
  }
}

function misplaced({ headers: { authorization } }: FastifyRequest): string {
  return authorization
    ? 'Send the credentials in the Authorization header or as client_id and client_secret in the body, not both.'
    : 'client_secret must be sent together with client_id.'
}

/**
 * Decodes an id and a secret that were form-encoded for the header (RFC 6749 section 2.3.1). Not all clients do that.
 */
function decodeCredentials({ id, secret }: Credentials): Credentials {
  return { id: decodeForm(id), secret: decodeForm(secret) }
}

function decodeForm(text: string): string {
  return new URLSearchParams(`=${text.replaceAll('&', '%26')}`).get('') ?? text
}
