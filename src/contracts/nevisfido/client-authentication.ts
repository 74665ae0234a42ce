import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { refuseWhileBlocked, registerBasicAuth } from '../../http/basic-auth.ts'
import type { Caller } from './caller.ts'
import type { NevisfidoOptions } from './options.ts'

/**
 * Returns a function that authenticates a request: `Authorization: Basic` of a configured client, or `Authorization:
 * Bearer` with a JWT of the configured issuer (N8).
 */
export async function createClientAuthentication(
  app: FastifyInstance,
  { clients, bearer, guard, issuer: { clock }, audit }: NevisfidoOptions,
): Promise<(request: FastifyRequest, reply: FastifyReply) => Promise<Caller>> {
  const basicAuth = await registerBasicAuth(app, { kind: 'client', holders: clients, guard, clock, audit })
  // Loaded only where it is configured: jose would lengthen every start.
  const verifyBearer = bearer && (await import('./bearer.ts')).createBearerVerification(bearer, clock)

  return async (request, reply) => {
    refuseWhileBlocked(request, guard)
    const token = /^Bearer +([\w.~+/-]+=*) *$/i.exec(request.headers.authorization ?? '')?.[1]
    if (verifyBearer && token !== undefined) return verifyBearer(token)
    const { id, holder, secretSlot } = await basicAuth.authenticate(request, reply)
    return { client: id, secretSlot, users: holder.users }
  }
}
