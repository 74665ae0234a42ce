import { setTimeout as sleep } from 'node:timers/promises'
import { createBatcher } from '../batcher.ts'
import { startDeadline } from '../deadline.ts'
import type { Connection, PostgresHost, Row, Statement } from './connection.ts'
import { createPrimarySearch, PROBE, timelineOf } from './find-primary.ts'
import { type Call, createPool, MAX_ABANDONED, type Pool } from './pool.ts'
import { isRefusal } from './refusal.ts'

export type Run = (statement: Statement, values: readonly unknown[]) => Promise<readonly Row[]>

/** The connections to the one server that takes writes. After a fail-over they lead to the new one. */
export interface Primary {
  /**
   * Runs a statement on one of the connections.
   *
   * @throws Error where no server takes writes, the server has not answered within 800 ms, or it rejects the statement.
   */
  readonly run: Run
  /**
   * Returns a function that adds an item to the next run of a step. The items of a step share one statement, and so one
   * wait for the disk and the standby.
   *
   * @param step returns one answer for each item, in the same order.
   */
  gather<Item, Answer>(
    step: (items: readonly Item[], run: Run) => Promise<readonly Answer[]>,
  ): (item: Item) => Promise<Answer>
  /** Changes with every change of server. Transaction ids of different servers cannot be compared. */
  generation(): number
  /** Resolves once the primary is found or the first search has failed. Rejects where only an operator can help. */
  readonly opened: Promise<void>
  /** Waits for running calls, at most 800 ms, and closes the connections. Later calls reject. */
  close(): Promise<void>
}

export interface PrimaryOptions {
  /** Servers of which one may take writes. */
  readonly hosts: readonly PostgresHost[]
  readonly connect: (host: PostgresHost) => Promise<Connection>
  /** Called when a server is left, and when a search fails for another reason than the last one. */
  readonly onError: (error: Error) => void
  /** Prepares a server that was found: creates and migrates the tables. */
  readonly prepare: (connection: Connection) => Promise<void>
}

const CALL_TIMEOUT_MS = 800
const PREPARE_TIMEOUT_MS = 5_000
const MIN_SEARCH_PAUSE_MS = 50
const MAX_SEARCH_PAUSE_MS = 500
const WATCH_INTERVAL_MS = 1_000

/** The primary in use. */
interface Server {
  readonly host: PostgresHost
  readonly timeline: number
  readonly pool: Pool
}

/** Opens connections to the primary, and searches for it in the background until closed. */
export function openPrimary({ hosts, connect, onError, prepare }: PrimaryOptions): Primary {
  const findPrimary = createPrimarySearch(hosts, connect)

  const pending = new Set<Promise<unknown>>()
  const waiting = new Set<Call>()
  const stopped = new AbortController()
  const opened = Promise.withResolvers<void>()
  let current: Server | undefined
  /** Why the last search failed. */
  let unavailable: Error | undefined
  let lastReport: string | undefined
  let generation = 0
  let isSearching = false
  let isClosing = false
  let checking: Promise<void> | undefined

  /** Lets {@link Primary.close} wait for a call. */
  function track<Answer>(begin: () => Promise<Answer>): Promise<Answer> {
    if (isClosing) return Promise.reject(new Error('the store is closed'))
    const answer = begin()
    pending.add(answer)
    const settle = (): void => void pending.delete(answer)
    answer.then(settle, settle)
    return answer
  }

  function report(error: Error): void {
    if (error.message === lastReport || stopped.signal.aborted) return
    lastReport = error.message
    onError(error)
  }

  function call(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    if (unavailable) return Promise.reject(new Error(unavailable.message, { cause: unavailable }))
    const next: Call = { statement, values, answer: Promise.withResolvers(), stopDeadline: () => undefined }
    next.stopDeadline = startDeadline(CALL_TIMEOUT_MS, { onLate: () => shed(next), onExpiry: () => giveUp(next) })
    waiting.add(next)
    current?.pool.dispatch()
    return next.answer.promise
  }

  /** Rejects a call that still waits for a connection: its answer would come too late, and delay those of others. */
  function shed(late: Call): void {
    if (!current || !waiting.delete(late)) return
    late.stopDeadline()
    late.answer.reject(new Error('PostgreSQL is too slow; the call was not sent'))
  }

  function giveUp(late: Call): void {
    waiting.delete(late)
    late.abandon?.()
    late.answer.reject(new Error(`PostgreSQL has not answered within ${CALL_TIMEOUT_MS} ms`))
    void leaveIfReplaced()
  }

  /** Closes all connections to a server and searches again. Calls that run there reject. */
  function leave(server: Server, reason: Error): void {
    if (server !== current) return
    current = undefined
    report(reason)
    server.pool.close()
    search()
  }

  /** Checks whether the server in use is still the primary; another may answer at its address. */
  function leaveIfReplaced(): Promise<void> {
    checking ??= check().finally(() => {
      checking = undefined
    })
    return checking
  }

  async function check(): Promise<void> {
    const server = current
    if (!server) return
    let reason = new Error('PostgreSQL has been replaced by another server')
    try {
      const { host, timeline, connection } = await findPrimary()
      connection.close()
      if (timeline > server.timeline) return leave(server, reason)
      if (host === server.host) return timeline === server.timeline ? server.pool.dispatch() : leave(server, reason)
    } catch (error) {
      reason = error as Error
    }
    // A server that is full rejects new connections and still serves those that it has.
    if (!server.pool.hasConnections() || !(await hasTimeline(server.timeline))) leave(server, reason)
  }

  async function hasTimeline(timeline: number): Promise<boolean> {
    try {
      const [row] = await call(PROBE, [])
      return timelineOf(row) === timeline
    } catch {
      return false
    }
  }

  function search(): void {
    if (isSearching || stopped.signal.aborted) return
    isSearching = true
    void searchUntilFound()
  }

  async function searchUntilFound(): Promise<void> {
    for (let pauseMs = MIN_SEARCH_PAUSE_MS; !stopped.signal.aborted; pauseMs = longer(pauseMs)) {
      try {
        await useNextPrimary()
        return opened.resolve()
      } catch (error) {
        rejectCalls(error as Error)
        if (isRefusal(error)) opened.reject(error)
        else opened.resolve()
      }
      await pause(pauseMs)
    }
    opened.resolve()
  }

  async function useNextPrimary(): Promise<void> {
    const { host, timeline, waitingSessions, connection } = await findPrimary()
    const stop = startDeadline(PREPARE_TIMEOUT_MS, { onExpiry: connection.close })
    try {
      if (waitingSessions >= MAX_ABANDONED) throw new Error('PostgreSQL waits for its standby')
      await prepare(connection)
    } catch (error) {
      connection.close()
      throw error
    } finally {
      stop()
    }
    if (stopped.signal.aborted) return connection.close()
    const pool = createPool({
      waiting,
      connect: () => connect(host),
      onFailure(error) {
        report(error)
        void leaveIfReplaced()
      },
      onReadOnly: (error) => leave(server, error),
    })
    const server: Server = { host, timeline, pool }
    current = server
    generation += 1
    unavailable = undefined
    lastReport = undefined
    isSearching = false
    pool.add(connection)
    pool.dispatch()
  }

  /** Rejects the calls that wait for a server, and later ones until a server is found. */
  function rejectCalls(reason: Error): void {
    unavailable = reason
    report(reason)
    for (const { answer, stopDeadline } of waiting) {
      stopDeadline()
      answer.reject(reason)
    }
    waiting.clear()
  }

  async function watch(): Promise<void> {
    while (!stopped.signal.aborted) {
      await pause(WATCH_INTERVAL_MS)
      await leaveIfReplaced()
    }
  }

  async function pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined)
  }

  search()
  // A server that is the only one is checked whenever it fails to answer.
  if (hosts.length > 1) void watch()

  return {
    run: (statement, values) => track(() => call(statement, values)),
    gather(step) {
      const { add } = createBatcher((items: Parameters<typeof step>[0]) => step(items, call))
      return (item) => track(() => add(item))
    },
    generation: () => generation,
    opened: opened.promise,
    async close() {
      isClosing = true
      await Promise.allSettled(pending)
      stopped.abort()
      current?.pool.close()
      current = undefined
    },
  }
}

function longer(pauseMs: number): number {
  return Math.min(pauseMs * 2, MAX_SEARCH_PAUSE_MS)
}
