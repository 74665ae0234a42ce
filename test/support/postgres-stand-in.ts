import type { Connection, Row, Statement } from '../../src/store/postgres/connection.ts'

/** A statement that a test answers. */
export interface StandInCall {
  readonly name: string
  readonly values: readonly unknown[]
  resolve(rows?: readonly Row[]): void
  /** Rejects with an error that has a SQLSTATE. */
  reject(sqlState: string): void
}

/** A connection whose server is the test. */
export interface ConnectionStandIn extends Connection {
  /** What it was asked to run. */
  readonly calls: readonly StandInCall[]
  isClosed(): boolean
  /** Closes it from the server's side. */
  drop(error?: Error): void
}

/** Creates an error as the server reports it. */
export function createSqlError(sqlState: string, message = `error ${sqlState}`): Error {
  return Object.assign(new Error(message), { code: sqlState })
}

/** Creates a connection. `answer` gets each statement; for those without rows, the test answers by `calls`. */
export function createConnection(answer: (name: string) => readonly Row[] | undefined = () => undefined) {
  const calls: StandInCall[] = []
  const pending = new Set<PromiseWithResolvers<readonly Row[]>>()
  const closed = Promise.withResolvers<Error | undefined>()
  let isClosed = false

  function end(error?: Error): void {
    isClosed = true
    closed.resolve(error)
    for (const { reject } of pending) reject(error ?? new Error('Connection terminated'))
  }

  const connection: ConnectionStandIn = {
    calls,
    isClosed: () => isClosed,
    drop: end,
    closed: closed.promise,
    close: () => end(),
    runScript: async () => undefined,
    run({ name }: Statement, values) {
      if (isClosed) return Promise.reject(new Error('Client was closed'))
      const result = Promise.withResolvers<readonly Row[]>()
      pending.add(result)
      const { resolve, reject } = result
      calls.push({
        name,
        values,
        resolve: (rows = []) => resolve(rows),
        reject: (sqlState) => reject(createSqlError(sqlState)),
      })
      const rows = answer(name)
      if (rows) resolve(rows)
      return result.promise.finally(() => pending.delete(result))
    },
  }
  return connection
}
