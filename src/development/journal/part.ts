import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { ControlError } from '../control/errors.ts'
import { parseInput, queryOf, serveMethods } from '../control/routes.ts'
import type { Part, PartDependencies } from '../part.ts'
import { type Entry, sizeOf, toBriefRecord, toRecord } from './entry.ts'
import type { Journal } from './journal.ts'
import type { IsSecret } from './redact.ts'
import { type JournalRecord, type ParsedFilter, type RequestFilter, requestFilter } from './schema.ts'
import { serveStream } from './stream.ts'

const DEFAULT_WAIT_MS = 5_000

/** A larger request is brief in lists and streams: a client could make each of a thousand take a tenth of a second. */
const MAX_ENTRY_SIZE = 16 * 1024

/** The requests that a list shows whole. */
const MAX_LISTED_SIZE = 4 * 1024 * 1024

/** A request in the journal of one process, with what orders it among those of all. */
interface Kept {
  readonly record: JournalRecord
  readonly systemTime: number
  readonly sequence: number
}

/** The journal, for tests in the same process. */
export interface JournalControl {
  /** Returns the requests that fit, the newest first. */
  requests(filter?: Omit<RequestFilter, 'count' | 'wait'>): Promise<JournalRecord[]>
  /** Waits until `count` requests fit, 1 by default, or until `wait` is over, `5s` by default. */
  waitForRequests(filter?: RequestFilter): Promise<JournalRecord[]>
}

export interface JournalPart extends Part {
  readonly api: JournalControl
}

/** Serves the journal (L15 to L19). */
export function createJournalPart({ shared }: PartDependencies, journal: Journal, isSecret: IsSecret): JournalPart {
  const keep = (entry: Entry, toShown = toRecord): Kept => ({
    record: toShown(entry, isSecret),
    systemTime: entry.systemTime,
    sequence: entry.sequence,
  })

  const collect = shared.define('journal.collect', async (filter: ParsedFilter) => {
    const fitting: Kept[] = []
    let size = 0
    for (const entry of journal.entries()) {
      if (fitting.length === filter.limit) break
      // The journal may be large, and requests must not wait for its reader.
      await turn()
      const brief = keep(entry, toBriefRecord)
      if (!fits(brief.record, filter)) continue
      size += sizeOf(entry)
      fitting.push(isLarge(entry) || size > MAX_LISTED_SIZE ? brief : keep(entry))
    }
    return fitting
  })
  const find = shared.define('journal.find', (id: string) => {
    const entry = journal.entries().find((candidate) => candidate.id === id)
    return entry ? keep(entry) : null
  })
  const clear = shared.define('journal.clear', () => journal.clear())

  // While any process follows the journal, every process passes on its entries.
  let followed = 0
  const followers = new Set<(kept: Kept) => void>()
  const changeFollowed = shared.define('journal.follow', (by: number) => {
    followed += by
  })
  const pass = shared.define('journal.pass', (kept: Kept) => {
    for (const follower of followers) follower(kept)
  })
  shared.keep(
    'journal.followed',
    () => followed,
    (count: number) => {
      followed = count
    },
  )
  journal.follow((entry) => {
    // The followers' process may end at any time.
    if (followed > 0) void pass(keep(entry, isLarge(entry) ? toBriefRecord : toRecord)).catch(() => undefined)
  })

  async function follow(follower: (kept: Kept) => void): Promise<() => Promise<unknown>> {
    followers.add(follower)
    await changeFollowed(1)
    return () => {
      followers.delete(follower)
      return changeFollowed(-1)
    }
  }

  async function list(filter: ParsedFilter): Promise<Kept[]> {
    const all = (await collect(filter)).flat()
    return all.toSorted(newestFirst).slice(0, filter.limit)
  }

  /** @param leaves aborts once nobody waits for the requests. */
  async function query(input: unknown, leaves?: AbortSignal): Promise<JournalRecord[]> {
    const filter = parseInput(requestFilter, input ?? {})
    const isWaiting = filter.count !== undefined || filter.wait !== undefined
    const found = isWaiting ? await waitFor(filter, filter.count ?? 1, leaves) : await list(filter)
    return found.slice(0, filter.limit).map(({ record }) => record)
  }

  async function waitFor(filter: ParsedFilter, count: number, leaves?: AbortSignal): Promise<Kept[]> {
    const whole = { ...filter, limit: Math.max(filter.limit, count) }
    const enough = Promise.withResolvers<void>()
    let known: Kept[] = []
    const passed: Kept[] = []
    const checkCount = () => {
      if (known.length + passed.length >= count) enough.resolve()
    }
    const unfollow = await follow((kept) => {
      if (fits(kept.record, filter)) passed.push(kept)
      checkCount()
    })
    // An entry of this moment may be in both, which only makes the count exact after the last look.
    known = await list(whole)
    passed.splice(0, passed.length, ...passed.filter((kept) => !known.some((other) => isSame(kept, other))))
    checkCount()
    if (isClosed || leaves?.aborted) enough.resolve()
    leaves?.addEventListener('abort', () => enough.resolve())
    const timer = setTimeout(enough.resolve, filter.wait ?? DEFAULT_WAIT_MS)
    waiting.add(enough.resolve)
    await enough.promise
    waiting.delete(enough.resolve)
    clearTimeout(timer)
    await unfollow()
    return leaves?.aborted ? [] : list(whole)
  }

  let isClosed = false
  const waiting = new Set<() => void>()
  const streams = new Set<() => void>()

  return {
    api: {
      requests: (filter = {}) => query(filter),
      waitForRequests: (filter = {}) => query({ count: 1, ...filter }),
    },
    resets: { journal: () => clear(undefined) },
    close() {
      isClosed = true
      for (const end of [...waiting, ...streams]) end()
    },
    routes(app: FastifyInstance) {
      serveMethods(app, '/requests', {
        async GET(request, reply) {
          const leaves = new AbortController()
          reply.raw.once('close', () => leaves.abort())
          return { requests: await query(queryOf(request), leaves.signal) }
        },
        DELETE: async (_request, reply) => {
          await clear(undefined)
          return reply.code(204).send()
        },
      })
      serveStream(app, '/requests/stream', {
        streams,
        follow: (listener) => follow(({ record }) => listener(record)),
        accept: (given) => {
          const filter = parseInput(requestFilter, given)
          return (record) => fits(record, filter)
        },
      })
      serveMethods(app, '/requests/:id', {
        async GET({ params }) {
          const { id } = params as { id: string }
          const found = (await find(id)).filter((kept) => kept !== null).toSorted(newestFirst)[0]
          if (found) return found.record
          throw new ControlError(
            404,
            'not_found',
            'no such request in the journal; expected the X-Request-Id of a reply',
          )
        },
      })
    },
  }
}

function isLarge(entry: Entry): boolean {
  return sizeOf(entry) > MAX_ENTRY_SIZE
}

function newestFirst(a: Kept, b: Kept): number {
  return b.systemTime - a.systemTime || b.sequence - a.sequence
}

function isSame(a: Kept, b: Kept): boolean {
  return a.sequence === b.sequence && a.record.id === b.record.id
}

function fits(record: JournalRecord, { contract, outcome, reason, path, since }: ParsedFilter): boolean {
  if (contract !== undefined && record.contract !== contract) return false
  if (outcome !== undefined && record.outcome !== outcome) return false
  if (reason !== undefined && record.reason !== reason) return false
  if (since !== undefined && Date.parse(record.time) < since) return false
  if (path === undefined) return true
  return path.endsWith('*') ? record.path.startsWith(path.slice(0, -1)) : record.path === path
}
