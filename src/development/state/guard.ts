import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { available } from '../../core/availability.ts'
import { isBlock } from '../../core/guard-scopes.ts'
import { ControlError } from '../control/errors.ts'
import { serveMethods } from '../control/routes.ts'
import type { Part, PartDependencies } from '../part.ts'

const LIMITS = { blocks: 10_000, counts: 10_000 }

/** A count of failed attempts (L21). */
export const guardCount = z.object({
  key: z.string(),
  failures: z.int(),
  blocks: z.boolean(),
  expires: z.iso.datetime({ precision: 3 }),
})

export type GuardCount = z.output<typeof guardCount>

export interface GuardPart extends Part {
  readonly list: () => Promise<GuardCount[]>
}

/** Serves the counts of failed attempts (L21). */
export function createGuardPart({ shared, clock, running }: PartDependencies): GuardPart {
  const forget = shared.define('guard.forget', (key: string) => void running().guardMemory.delete(key))
  const forgetAll = shared.define('guard.forget-all', () =>
    running().guardMemory.replace([], Number.POSITIVE_INFINITY, () => false),
  )

  async function list(): Promise<GuardCount[]> {
    const { guard } = running().configuration()
    const counts = await available(running().stores.failures.list(clock(), LIMITS))
    return counts.map((count) => ({
      key: count.key,
      failures: count.failures,
      blocks: guard !== false && isBlock(count, guard),
      expires: new Date(count.expires).toISOString(),
    }))
  }

  /** Removes a count from the store and from the memory of every process. */
  async function lift(key: string): Promise<boolean> {
    const removed = await available(running().stores.failures.remove(key, Number.MAX_SAFE_INTEGER))
    await forget(key)
    return removed > 0
  }

  async function liftAll(): Promise<void> {
    const { failures } = running().stores
    // Also counts that had expired before the clock was set back.
    for (const { key } of await available(failures.list(0, LIMITS))) {
      await available(failures.remove(key, Number.MAX_SAFE_INTEGER))
    }
    await forgetAll(undefined)
  }

  return {
    list,
    resets: { guard: liftAll },
    routes(app: FastifyInstance) {
      serveMethods(app, '/guard', { GET: async () => ({ counts: await list() }) })
      serveMethods(app, '/guard/:key', {
        async DELETE({ params }, reply) {
          if (await lift((params as { key: string }).key)) return reply.code(204).send()
          throw new ControlError(404, 'not_found', 'no such count; expected a key of GET /_trimint/guard')
        },
      })
    },
  }
}
