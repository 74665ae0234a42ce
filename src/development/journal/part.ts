import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { ControlError } from '../control/errors.ts'
import { parseInput, queryOf, serveMethods } from '../control/routes.ts'
import type { Part, PartDependencies } from '../part.ts'
import { type Entry, sizeOf, toBriefRecord, toRecord } from './entry.ts'
import type { Journal } from './journal.ts'
import type { IsSecret } from './redact.ts'
import { type JournalRecord, type ParsedFilter, type RequestFilter, requestFilter } from './schema.ts'
import { type Stream, serveStream } from './stream.ts'

const DEFAULT_WAIT_MS = 5_000

/** A larger request is brief in lists and streams: a client could make each of a thousand take a tenth of a second. */
const MAX_ENTRY_SIZE = 16 * 1024

/** The requests that a list shows whole. */
const MAX_LISTED_SIZE = 4 * 1024 * 1024

/** Each costs time for every request that is recorded. */
const MAX_WAITING = 100

/** What a wait is for. */
interface Wanted {
  readonly filter: ParsedFilter
  /** The same, with a limit that is not below the count. */
  readonly whole: ParsedFilter
  readonly count: number
}

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
  const clear = shared.define('journal.clear', () => {
    journal.clear()
    for (const stream of streams) stream.empty()
  })

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
    if (waiting.size >= MAX_WAITING) {
      throw new ControlError(503, 'temporarily_unavailable', `too many waits; expected at most ${MAX_WAITING}`)
    }
    const whole = { ...filter, limit: Math.max(filter.limit, count) }
    const enough = Promise.withResolvers<void>()
    waiting.add(enough.resolve)
    try {
      if (leaves?.aborted) enough.resolve()
      leaves?.addEventListener('abort', () => enough.resolve())
      await waitUntil(enough, { filter, whole, count })
    } finally {
      waiting.delete(enough.resolve)
    }
    return leaves?.aborted ? [] : list(whole)
  }

  async function waitUntil(enough: PromiseWithResolvers<void>, { filter, whole, count }: Wanted): Promise<void> {
    // An entry of this moment may be passed and listed.
    const seen = new Set<string>()
    const see = ({ sequence, record: { id } }: Kept): void => {
      if (seen.add(`${sequence} ${id}`).size >= count) enough.resolve()
    }
    const unfollow = await follow((kept) => {
      if (fits(kept.record, filter)) see(kept)
    })
    for (const kept of await list(whole)) see(kept)
    if (isClosed) enough.resolve()
    const timer = setTimeout(enough.resolve, filter.wait ?? DEFAULT_WAIT_MS)
    await enough.promise
    clearTimeout(timer)
    await unfollow()
  }

  let isClosed = false
  const waiting = new Set<() => void>()
  const streams = new Set<Stream>()

  return {
    api: {
      requests: (filter = {}) => query(filter),
      waitForRequests: (filter = {}) => query({ count: 1, ...filter }),
    },
    resets: { journal: () => clear(undefined) },
    close() {
      isClosed = true
      for (const end of waiting) end()
      for (const stream of streams) stream.end()
    },
    routes(app: FastifyInstance) {
      serveMethods(app, '/requests', {
        GET: async (request, reply) => ({ requests: await query(queryOf(request), signalLeaving(reply)) }),
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

/** Aborts once the client has left. */
function signalLeaving({ raw }: FastifyReply): AbortSignal {
  const leaves = new AbortController()
  if (raw.closed) leaves.abort()
  raw.once('close', () => leaves.abort())
  return leaves.signal
}

function fits(record: JournalRecord, { contract, outcome, reason, path, since }: ParsedFilter): boolean {
  if (contract !== undefined && record.contract !== contract) return false
  if (outcome !== undefined && record.outcome !== outcome) return false
  if (reason !== undefined && record.reason !== reason) return false
  if (since !== undefined && Date.parse(record.time) < since) return false
  if (path === undefined) return true
  return path.endsWith('*') ? record.path.startsWith(path.slice(0, -1)) : record.path === path
}
