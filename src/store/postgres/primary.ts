import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresAddress } from '../../core/ports/postgres-url.ts'
import { createBatcher } from '../batcher.ts'
import { startDeadline } from '../deadline.ts'
import { type Connection, connect, type PostgresHost, type Row, type Statement } from './connection.ts'
import { createPrimarySearch, PROBE, timelineOf } from './find-primary.ts'
import { isRefusal, sqlStateOf } from './refusal.ts'

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
  /** Called when a server is left, and when a search fails for another reason than the last one. */
  readonly onError: (error: Error) => void
  /** Prepares a server that was found: creates and migrates the tables. */
  readonly prepare: (connection: Connection) => Promise<void>
}

const CALL_TIMEOUT_MS = 800
const PREPARE_TIMEOUT_MS = 5_000
const MAX_CONNECTIONS = 5

/**
 * How many sessions a process may leave waiting for a standby. The server keeps them after the client has gone
 * (measured: docs/decisions/050-postgresql.md). Without a limit, new connections would fill the server.
 */
const MAX_ABANDONED = 8

const MIN_SEARCH_PAUSE_MS = 50
const MAX_SEARCH_PAUSE_MS = 500
const WATCH_INTERVAL_MS = 1_000

/** SQLSTATE of a write on a server that has been demoted. */
const READ_ONLY = '25006'

/** SQLSTATE classes, or codes, of errors that concern one statement. The connection remains usable. */
const STATEMENT_ERRORS = /^(22|23|40|42|53|54|55|57014)/

interface Server {
  readonly host: PostgresHost
  readonly timeline: number
  readonly idle: Connection[]
  /** Idle, running and being opened; not those in `abandoned`. */
  connections: number
  /** False for a while after a failure to connect. */
  mayConnect: boolean
}

interface Call {
  readonly statement: Statement
  readonly values: readonly unknown[]
  readonly answer: PromiseWithResolvers<readonly Row[]>
  stopDeadline: () => void
  /** Where it runs. */
  runs?: { readonly server: Server; readonly connection: Connection }
}

/** Opens connections to the primary, and searches for it in the background until closed. */
export function openPrimary(address: PostgresAddress, { onError, prepare }: PrimaryOptions): Primary {
  const applicationName = `trimint ${process.pid} ${hostname()}`
  const connectTo = (host: PostgresHost) => connect(address, host, applicationName)
  const findPrimary = createPrimarySearch(address.hosts, connectTo)

  const pending = new Set<Promise<unknown>>()
  const waiting = new Set<Call>()
  const running = new Set<Call>()
  const abandoned = new Set<Connection>()
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
    next.stopDeadline = startDeadline(CALL_TIMEOUT_MS, { onExpiry: () => giveUp(next) })
    waiting.add(next)
    dispatch()
    return next.answer.promise
  }

  function dispatch(): void {
    for (const next of waiting) {
      const connection = current?.idle.pop()
      if (!current || !connection) break
      waiting.delete(next)
      next.runs = { server: current, connection }
      void perform(next, current, connection)
    }
    if (current && waiting.size > 0) addConnection(current)
  }

  async function perform(next: Call, server: Server, connection: Connection): Promise<void> {
    running.add(next)
    let failure: Error | undefined
    try {
      next.answer.resolve(await connection.run(next.statement, next.values))
    } catch (error) {
      failure = error as Error
      next.answer.reject(failure)
    }
    next.stopDeadline()
    running.delete(next)
    const wasAbandoned = abandoned.delete(connection)
    if (server !== current) return connection.close()
    if (wasAbandoned) {
      connection.close()
    } else if (failure === undefined || STATEMENT_ERRORS.test(sqlStateOf(failure))) {
      server.idle.push(connection)
    } else if (sqlStateOf(failure) === READ_ONLY) {
      return leave(server, failure)
    } else {
      drop(server, connection, failure)
    }
    dispatch()
  }

  function giveUp(late: Call): void {
    waiting.delete(late)
    if (late.runs) {
      late.runs.server.connections -= 1
      abandoned.add(late.runs.connection)
    }
    late.answer.reject(new Error(`PostgreSQL has not answered within ${CALL_TIMEOUT_MS} ms`))
    void leaveIfReplaced()
  }

  /** Closes a connection that failed, and checks its server. */
  function drop(server: Server, connection: Connection, reason: Error): void {
    connection.close()
    server.connections -= 1
    report(reason)
    void leaveIfReplaced()
  }

  function addConnection(server: Server): void {
    if (!server.mayConnect || server.connections >= MAX_CONNECTIONS || abandoned.size >= MAX_ABANDONED) return
    server.connections += 1
    connectTo(server.host).then(
      (connection) => {
        if (server !== current) return connection.close()
        keep(server, connection)
        dispatch()
      },
      (error: Error) => {
        server.connections -= 1
        server.mayConnect = false
        setTimeout(() => {
          server.mayConnect = true
          dispatch()
        }, MAX_SEARCH_PAUSE_MS).unref()
        report(error)
        void leaveIfReplaced()
      },
    )
  }

  function keep(server: Server, connection: Connection): void {
    server.idle.push(connection)
    void connection.closed.then((error) => {
      const at = server.idle.indexOf(connection)
      if (at < 0) return
      server.idle.splice(at, 1)
      drop(server, connection, error ?? new Error('PostgreSQL has closed the connection'))
    })
  }

  /** Closes all connections to a server and searches again. Calls that run there reject. */
  function leave(server: Server, reason: Error): void {
    if (server !== current) return
    current = undefined
    report(reason)
    const connections = [...server.idle.splice(0), ...abandoned]
    for (const { runs } of running) if (runs) connections.push(runs.connection)
    abandoned.clear()
    for (const connection of connections) connection.close()
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
      if (host === server.host) return timeline === server.timeline ? dispatch() : leave(server, reason)
    } catch (error) {
      reason = error as Error
    }
    // A server that is full rejects new connections and still serves those that it has.
    if (server.connections === 0 || !(await hasTimeline(server.timeline))) leave(server, reason)
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
    current = { host, timeline, idle: [], connections: 1, mayConnect: true }
    generation += 1
    unavailable = undefined
    lastReport = undefined
    isSearching = false
    keep(current, connection)
    dispatch()
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
  if (address.hosts.length > 1) void watch()

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
      const connections = [...(current?.idle.splice(0) ?? []), ...abandoned]
      current = undefined
      for (const connection of connections) connection.close()
    },
  }
}

function longer(pauseMs: number): number {
  return Math.min(pauseMs * 2, MAX_SEARCH_PAUSE_MS)
}
