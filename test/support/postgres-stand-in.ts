import { setImmediate as endOfTurn } from 'node:timers/promises'
import { expect, vi } from 'vitest'
import type { Connection, PostgresHost, Row, Statement } from '../../src/store/postgres/connection.ts'
import { openPrimary, type Primary, type PrimaryOptions } from '../../src/store/postgres/primary.ts'

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

const HOSTS: readonly PostgresHost[] = ['a', 'b', 'c'].map((host) => ({ host, port: 5_432 }))
export const [A, B, C] = HOSTS as [PostgresHost, PostgresHost, PostgresHost]

/**
 * What a server answers to {@link PROBE}; `undefined` where it hangs, and an error where it cannot be reached. With
 * `isFull` it rejects new connections.
 */
export type State = Partial<Row> | Error | undefined

export const primaryAt = (timeline: number, waitingSessions = 0): Row => ({
  isReadOnly: false,
  timeline,
  waitingSessions,
})
export const STANDBY: Row = { isReadOnly: true, timeline: 0, waitingSessions: 0 }

/** Servers whose states a test changes. */
export function createServers(initial: Record<string, State>) {
  const states: Record<string, State> = { ...initial }
  const opened: { readonly host: string; readonly connection: ConnectionStandIn }[] = []
  async function connect({ host }: PostgresHost): Promise<ConnectionStandIn> {
    const state = states[host]
    if (state instanceof Error) throw state
    if (state?.isFull) throw new Error('sorry, too many clients already')
    const connection = createConnection((name) => {
      if (name !== 'probe') return undefined
      const now = states[host]
      return now instanceof Error || !now ? undefined : [now as Row]
    })
    opened.push({ host, connection })
    return connection
  }
  const of = ({ host }: PostgresHost) => opened.filter((each) => each.host === host).map(({ connection }) => connection)
  const isOpen = (host: PostgresHost) => of(host).map((connection) => !connection.isClosed())
  /** The calls of every open connection to a server that are not probes. */
  const callsOf = (host: PostgresHost) => of(host).flatMap(({ calls }) => calls.filter(({ name }) => name !== 'probe'))
  return { states, connect, of, isOpen, callsOf }
}

/** Resolves to `done`, or to the message of the error. */
export const messageOf = (step: Promise<unknown>): Promise<string> =>
  step.then(
    () => 'done',
    (error: Error) => error.message,
  )

export const ASK = { name: 'ask', text: '' }

/** Opens a primary on servers with these states, and closes it with the stack. */
export function startPrimary(
  stack: AsyncDisposableStack,
  states: Record<string, State>,
  options: Partial<PrimaryOptions> = {},
) {
  const servers = createServers(states)
  const onError = vi.fn<(error: Error) => void>()
  const hosts = HOSTS.filter(({ host }) => host in states)
  const primary = openPrimary({ hosts, connect: servers.connect, onError, prepare: async () => undefined, ...options })
  stack.defer(() => primary.close())
  const reports = () => onError.mock.calls.map(([{ message }]) => message)
  const ask = (value: unknown = 1) => primary.run(ASK, [value])
  return { ...servers, primary, reports, ask }
}

/** Answers all calls that have reached a server. */
export async function answer(servers: Pick<ReturnType<typeof createServers>, 'callsOf'>, host: PostgresHost) {
  await endOfTurn()
  for (const { resolve, values } of servers.callsOf(host)) resolve([{ values }])
}

/** Waits until the primary in use is another one. */
export const moved = (primary: Primary, generation: number) =>
  expect.poll(() => primary.generation(), { interval: 5 }).toBe(generation)
