import type { Connection, Row, Statement } from './connection.ts'
import { sqlStateOf } from './refusal.ts'

/** A statement that waits for a connection, or runs on one. */
export interface Call {
  readonly statement: Statement
  readonly values: readonly unknown[]
  readonly answer: PromiseWithResolvers<readonly Row[]>
  stopDeadline: () => void
  /** Takes the connection of a running call out of use: the server may still work on the call. */
  abandon?: () => void
}

/** The connections to one server. */
export interface Pool {
  /** Runs waiting calls on idle connections, and opens another connection for those that remain. */
  dispatch(): void
  add(connection: Connection): void
  /** Tells whether calls may still get through to the server. */
  hasConnections(): boolean
  /** Closes all connections. Calls that run on them reject. */
  close(): void
}

export interface PoolOptions {
  /** The pool takes the calls that it runs. */
  readonly waiting: Set<Call>
  readonly connect: () => Promise<Connection>
  /** Called after a connection was lost or could not be opened. */
  readonly onFailure: (error: Error) => void
  /** Called after the server has rejected a write because it takes none. */
  readonly onReadOnly: (error: Error) => void
}

const MAX_CONNECTIONS = 5

/**
 * How many sessions a process may leave waiting for a standby. The server keeps them after the client has gone
 * (measured: docs/decisions/050-postgresql.md). Without a limit, new connections would fill the server.
 */
export const MAX_ABANDONED = 8

const CONNECT_PAUSE_MS = 500

/** SQLSTATE of a write on a server that has been demoted. */
const READ_ONLY = '25006'

/** SQLSTATE classes, or codes, of errors that concern one statement. The connection remains usable. */
const STATEMENT_ERRORS = /^(22|23|40|42|53|54|55|57014)/

/** Creates a pool, without connections at first. */
export function createPool({ waiting, connect, onFailure, onReadOnly }: PoolOptions): Pool {
  const idle: Connection[] = []
  const running = new Set<Connection>()
  const abandoned = new Set<Connection>()
  let opening = 0
  /** False for a while after a failure to connect. */
  let mayConnect = true
  let isClosed = false

  const countConnections = (): number => idle.length + running.size + opening

  function dispatch(): void {
    if (isClosed) return
    for (const call of waiting) {
      const connection = idle.pop()
      if (!connection) break
      waiting.delete(call)
      void perform(call, connection)
    }
    if (waiting.size > 0) void openAnother()
  }

  async function perform(call: Call, connection: Connection): Promise<void> {
    running.add(connection)
    call.abandon = () => {
      running.delete(connection)
      abandoned.add(connection)
    }
    let failure: Error | undefined
    try {
      call.answer.resolve(await connection.run(call.statement, call.values))
    } catch (error) {
      failure = error as Error
      call.answer.reject(failure)
    }
    call.stopDeadline()
    running.delete(connection)
    const isUsable = !failure || STATEMENT_ERRORS.test(sqlStateOf(failure))
    if (isClosed || abandoned.delete(connection)) {
      connection.close()
    } else if (isUsable) {
      idle.push(connection)
    } else {
      connection.close()
      if (sqlStateOf(failure) === READ_ONLY) onReadOnly(failure as Error)
      else onFailure(failure as Error)
    }
    dispatch()
  }

  async function openAnother(): Promise<void> {
    if (!mayConnect || countConnections() >= MAX_CONNECTIONS || abandoned.size >= MAX_ABANDONED) return
    opening += 1
    try {
      add(await connect())
    } catch (error) {
      pauseConnecting()
      if (!isClosed) onFailure(error as Error)
    } finally {
      opening -= 1
    }
    dispatch()
  }

  function pauseConnecting(): void {
    mayConnect = false
    const resume = (): void => {
      mayConnect = true
      dispatch()
    }
    setTimeout(resume, CONNECT_PAUSE_MS).unref()
  }

  function add(connection: Connection): void {
    if (isClosed) {
      connection.close()
      return
    }
    idle.push(connection)
    void connection.closed.then((error) => {
      const at = idle.indexOf(connection)
      if (at < 0) return
      idle.splice(at, 1)
      onFailure(error ?? new Error('PostgreSQL has closed the connection'))
    })
  }

  return {
    dispatch,
    add,
    hasConnections: () => countConnections() > 0,
    close() {
      isClosed = true
      for (const connection of [...idle.splice(0), ...running, ...abandoned]) connection.close()
    },
  }
}
