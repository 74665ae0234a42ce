import type { FastifyInstance } from 'fastify'
import { ControlError } from '../control/errors.ts'
import { parseInput, serveMethods } from '../control/routes.ts'
import type { Part, PartDependencies } from '../part.ts'
import { contractIn } from './identity.ts'
import { createFaultList, type Fault, type FaultList } from './list.ts'
import { type FaultInput, type FaultView, faultInput, type ParsedFault } from './schema.ts'

/** The faults, for tests in the same process. */
export interface FaultsControl {
  /** Adds a fault to every process. It comes before the others. */
  add(fault: FaultInput): Promise<FaultView>
  /** Returns the faults, the newest first. */
  list(): FaultView[]
  /** Resolves to whether there was one with this id. */
  remove(id: string): Promise<boolean>
  clear(): Promise<void>
}

export interface FaultsPart extends Part {
  readonly api: FaultsControl
  readonly faults: FaultList
  /** Counts an occurrence; resolves to false where the fault is gone or has occurred often enough. */
  readonly take: (id: string) => Promise<boolean>
}

interface Kept {
  readonly lastId: number
  readonly faults: readonly (FaultView & { readonly input: FaultInput })[]
}

/** Serves the faults (L8). */
export function createFaultsPart({ shared, reasons }: PartDependencies): FaultsPart {
  const faults = createFaultList()
  const add = shared.define('faults.add', (input: FaultInput) => view(faults.add(parseInput(faultInput, input), input)))
  const remove = shared.define('faults.remove', (id: string) => faults.remove(id))
  const clear = shared.define('faults.clear', () => faults.clear())
  const take = shared.define('faults.take', (id: string) => faults.take(id))
  shared.keep(
    'faults',
    (): Kept => ({
      lastId: faults.lastId(),
      faults: faults.all().map((fault) => ({ ...view(fault), input: fault.input })),
    }),
    ({ lastId, faults: kept }: Kept) => {
      const parsed = kept.map(({ id, met, input }) => ({ ...parseInput(faultInput, input), id, met, input }))
      faults.replace(parsed, lastId)
    },
  )

  function checkReason({ match, then: { reason } }: ParsedFault): void {
    const contract = contractIn(match)
    if (reason === undefined || contract === undefined || reasons[contract].includes(reason)) return
    const description = `then.reason: ${contract} has no reply for ${reason}; expected one of ${reasons[contract].join(', ')}`
    throw new ControlError(400, 'invalid_request', description)
  }

  async function create(input: unknown): Promise<FaultView> {
    checkReason(parseInput(faultInput, input))
    const [added] = await add(input as FaultInput)
    return added
  }

  async function clearAll(): Promise<void> {
    await clear(undefined)
  }

  return {
    faults,
    take: async (id) => (await take(id))[0],
    api: {
      add: create,
      list: () => faults.all().map(view),
      remove: async (id) => (await remove(id))[0],
      clear: clearAll,
    },
    resets: { faults: clearAll },
    routes(app: FastifyInstance) {
      serveMethods(app, '/faults', {
        GET: async () => ({ faults: faults.all().map(view) }),
        POST: async ({ body }, reply) => reply.code(201).send(await create(body)),
        async DELETE(_request, reply) {
          await clearAll()
          return reply.code(204).send()
        },
      })
      serveMethods(app, '/faults/:id', {
        async DELETE({ params }, reply) {
          const [isRemoved] = await remove((params as { id: string }).id)
          if (isRemoved) return reply.code(204).send()
          throw new ControlError(404, 'not_found', 'no such fault; expected an id of GET /_trimint/faults')
        },
      })
    },
  }
}

function view({ id, met, input }: Fault): FaultView {
  return {
    id,
    match: input.match ?? {},
    ...(input.times === undefined ? {} : { times: Number(input.times) }),
    met,
    then: input.then,
  }
}
