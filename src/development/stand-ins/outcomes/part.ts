import type { FastifyInstance } from 'fastify'
import { ControlError } from '../../control/errors.ts'
import { parseInput, serveMethods } from '../../control/routes.ts'
import type { Part, PartDependencies } from '../../part.ts'
import { createOutcomeList, type OutcomeList } from './list.ts'
import { type OutcomesInput, type OutcomesView, outcomesInput, type ParsedOutcomes } from './schema.ts'

/** What the stand-ins answer, for tests in the same process. */
export interface OutcomesControl {
  /** Chooses outcomes for every request, or for those that fit `match`, in place of those chosen before. */
  set(outcomes: OutcomesInput): Promise<OutcomesView>
  /** Returns what is left. */
  list(): OutcomesView
  clear(): Promise<void>
}

export interface OutcomesPart extends Part {
  readonly api: OutcomesControl
  readonly outcomes: OutcomeList
}

/** Serves the outcomes (S15). */
export function createOutcomesPart({ shared }: PartDependencies): OutcomesPart {
  const outcomes = createOutcomeList()
  const put = shared.define('outcomes.put', (set: ParsedOutcomes) => outcomes.put(set))
  const clearEverywhere = shared.define('outcomes.clear', () => outcomes.replaceAll([]))
  shared.keep('outcomes', outcomes.all, outcomes.replaceAll)

  async function set(input: unknown): Promise<OutcomesView> {
    const [isKept] = await put(parseInput(outcomesInput, input))
    if (!isKept) throw new ControlError(409, 'conflict', 'too many matches; expected at most 100')
    return list()
  }

  const list = (): OutcomesView => structuredClone(outcomes.view())

  async function clear(): Promise<void> {
    await clearEverywhere(undefined)
  }

  return {
    outcomes,
    api: { set, list, clear },
    resets: { outcomes: clear },
    routes(app: FastifyInstance) {
      serveMethods(app, '/outcomes', {
        GET: async () => list(),
        PUT: async ({ body }) => set(body),
        async DELETE(_request, reply) {
          await clear()
          return reply.code(204).send()
        },
      })
    },
  }
}
