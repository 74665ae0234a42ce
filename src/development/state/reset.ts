import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { expected } from '../../config/value-schemas.ts'
import { parseInput, serveMethods } from '../control/routes.ts'
import type { Part } from '../part.ts'

export interface ResetPart extends Part {
  /** Restores the state of the start: all of it, or the parts with these names. */
  readonly reset: (options?: { readonly only?: readonly string[] }) => Promise<void>
}

/** Serves `POST /_trimint/reset` (L22). @param parts everything that can be reset. */
export function createResetPart(parts: readonly Part[]): ResetPart {
  const resets = new Map(parts.flatMap(({ resets: own = {} }) => Object.entries(own)))
  const allowed = expected(`one of ${[...resets.keys()].join(', ')}`)
  const name = z.string(allowed).refine((value) => resets.has(value), allowed)
  const body = z.strictObject({ only: z.array(name).optional() })

  async function reset(options: unknown = {}): Promise<void> {
    const { only = [...resets.keys()] } = parseInput(body, options)
    await Promise.all([...new Set(only)].map((part) => resets.get(part)?.()))
  }

  return {
    reset,
    routes(app: FastifyInstance) {
      serveMethods(app, '/reset', {
        async POST({ body: given }, reply) {
          await reset(given ?? {})
          return reply.code(204).send()
        },
      })
    },
  }
}
