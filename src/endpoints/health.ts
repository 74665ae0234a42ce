import type { FastifyPluginAsync } from 'fastify'
import { z } from 'zod'
import type { Revocations } from '../core/revocations.ts'

export const health = z.object({ status: z.literal('ok') })

const NOT_READY = ['draining', 'store_unavailable', 'store_moved', 'no_signing_key'] as const

const contractName = z.enum(['bws', 'idscan', 'nevisfido'])

export const readiness = z.discriminatedUnion('status', [
  z.object({ status: z.literal('ready') }),
  z.object({
    status: z.literal('not_ready'),
    reasons: z.array(z.enum(NOT_READY)).min(1),
    serving: z.array(contractName).describe('Contracts that still issue tokens.'),
  }),
])

type Readiness = z.output<typeof readiness>

const ALIVE: z.output<typeof health> = { status: 'ok' }

export interface HealthRoutesOptions {
  /** The contracts that are switched on. */
  readonly contracts: readonly z.output<typeof contractName>[]
  readonly isDraining: () => boolean
  /** Their age shows whether the store can be read. */
  readonly revocations: Revocations
  /** Rejects while the store cannot be written. */
  readonly checkWriting: () => Promise<void>
  /** False while a contract is enabled that signs tokens and every key has expired. */
  readonly canSign: () => boolean
  /** Undefined for a store without files. */
  readonly isStoreInPlace: (() => Promise<boolean>) | undefined
}

/**
 * Serves `GET /healthz`, liveness, and `GET /readyz`, readiness. Liveness depends on nothing else: an unavailable store
 * must not get a healthy process killed.
 */
export const healthRoutes: FastifyPluginAsync<HealthRoutesOptions> = async (app, options) => {
  const { contracts, isDraining, revocations, checkWriting, canSign, isStoreInPlace } = options

  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })

  app.get('/healthz', async () => ALIVE)

  app.get('/readyz', async (_request, reply) => {
    const reasons: (typeof NOT_READY)[number][] = []
    if (isDraining()) reasons.push('draining')
    try {
      await Promise.all([revocations.refreshIfStale(), checkWriting()])
      if (isStoreInPlace && !(await isStoreInPlace())) reasons.push('store_moved')
    } catch {
      reasons.push('store_unavailable')
    }
    if (!canSign()) reasons.push('no_signing_key')
    if (reasons.length === 0) return reply.send({ status: 'ready' } satisfies Readiness)
    // nevisFIDO stores its tokens, the other contracts sign theirs.
    const isServed = (contract: string): boolean =>
      !reasons.includes(contract === 'nevisfido' ? 'store_unavailable' : 'no_signing_key')
    const answer: Readiness = { status: 'not_ready', reasons, serving: contracts.filter(isServed) }
    return reply.code(503).send(answer)
  })
}
