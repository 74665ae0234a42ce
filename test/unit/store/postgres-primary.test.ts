import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import type { PostgresHost, Row } from '../../../src/store/postgres/connection.ts'
import { createPrimarySearch, PROBE, timelineOf } from '../../../src/store/postgres/find-primary.ts'
import { openPrimary, type Primary, type PrimaryOptions } from '../../../src/store/postgres/primary.ts'
import { RefusedError } from '../../../src/store/postgres/refusal.ts'
import { type ConnectionStandIn, createConnection, createSqlError } from '../../support/postgres-stand-in.ts'

// Which server is used, when it is left, and what becomes of calls. test/system has the same with real servers.

const HOSTS: readonly PostgresHost[] = ['a', 'b', 'c'].map((host) => ({ host, port: 5_432 }))
const [A, B, C] = HOSTS as [PostgresHost, PostgresHost, PostgresHost]

/**
 * What a server answers to {@link PROBE}; `undefined` where it hangs, and an error where it cannot be reached. With
 * `isFull` it rejects new connections.
 */
type State = Partial<Row> | Error | undefined

const primaryAt = (timeline: number, waitingSessions = 0): Row => ({ isReadOnly: false, timeline, waitingSessions })
const STANDBY: Row = { isReadOnly: true, timeline: 0, waitingSessions: 0 }

/** Servers whose states a test changes. */
function createServers(initial: Record<string, State>) {
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

const messageOf = (step: Promise<unknown>): Promise<string> =>
  step.then(
    () => 'done',
    (error: Error) => error.message,
  )

describe('the search for the primary', () => {
  test.each([
    ['the only one', { a: primaryAt(1) }, [A], 'a'],
    ['the one that is no standby', { a: STANDBY, b: primaryAt(1) }, [A, B], 'b'],
    ['the one that was promoted last, at the end', { a: primaryAt(1), b: primaryAt(2) }, [A, B], 'b'],
    ['the one that was promoted last, at the beginning', { a: primaryAt(2), b: primaryAt(1) }, [A, B], 'a'],
    ['the one that answers', { a: new Error('away'), b: primaryAt(1) }, [A, B], 'b'],
  ] satisfies [string, Record<string, State>, PostgresHost[], string][])(
    'finds %s, and closes the connections to others',
    async (_, states, hosts, expected) => {
      const servers = createServers(states)
      const found = await createPrimarySearch(hosts, servers.connect)()
      expect(found.host.host).toBe(expected)
      expect(found.connection).toBe(servers.of(found.host)[0])
      for (const host of hosts) {
        expect(servers.isOpen(host), host.host).toEqual(servers.of(host).length === 0 ? [] : [host.host === expected])
      }
    },
  )

  test('returns the timeline and the sessions that wait for a standby', async () => {
    const { connect } = createServers({ a: { isReadOnly: false, timeline: '3', waitingSessions: '2' } })
    expect(await createPrimarySearch([A], connect)()).toMatchObject({ timeline: 3, waitingSessions: 2 })
  })

  test('never accepts a timeline below one that it has seen, and says so', async () => {
    const servers = createServers({ a: primaryAt(2) })
    const find = createPrimarySearch([A], servers.connect)
    await find()
    servers.states.a = primaryAt(1)
    await expect(find()).rejects.toThrow('no PostgreSQL server takes writes (a:5432: was replaced by another server)')
    expect(servers.isOpen(A)).toEqual([true, false])
    servers.states.a = primaryAt(2)
    expect((await find()).timeline).toBe(2)
  })

  test('names the reason of each server', async () => {
    const servers = createServers({
      a: STANDBY,
      b: new AggregateError([new Error('ECONNREFUSED ::1'), new Error('ECONNREFUSED 127.0.0.1')]),
    })
    const error = await createPrimarySearch([A, B], servers.connect)().catch((reason: unknown) => reason)
    expect(error).toEqual(
      new Error(
        'no PostgreSQL server takes writes (a:5432: is a standby or read-only; ' +
          'b:5432: ECONNREFUSED ::1, ECONNREFUSED 127.0.0.1)',
      ),
    )
    expect(error).not.toBeInstanceOf(RefusedError)
    expect(servers.isOpen(A)).toEqual([false])
  })

  test('describes what is no error', async () => {
    await expect(createPrimarySearch([A], () => Promise.reject('text'))()).rejects.toThrow('(a:5432: text)')
  })

  test('is refused where a server refuses the user, even if others are only away', async () => {
    const { connect } = createServers({ a: new Error('away'), b: createSqlError('28P01') })
    await expect(createPrimarySearch([A, B], connect)()).rejects.toBeInstanceOf(RefusedError)
  })

  test('closes a connection whose server has not answered within 800 ms', async () => {
    const servers = createServers({ a: undefined })
    const begin = performance.now()
    await expect(createPrimarySearch([A], servers.connect)()).rejects.toThrow('Connection terminated')
    expect(performance.now() - begin).toBeGreaterThan(750) // milliseconds
    expect(servers.isOpen(A)).toEqual([false])
  })

  test('leaves no timer behind after an answer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { connect } = createServers({ a: primaryAt(1) })
    await createPrimarySearch([A], connect)()
    const timers = vi.getTimerCount()
    vi.useRealTimers()
    expect(timers).toBe(0)
  })

  test('reads no timeline from a missing answer', () => {
    expect(() => timelineOf(undefined)).toThrow('is a standby or read-only')
    expect(() => timelineOf({ timeline: 1 })).toThrow('is a standby or read-only')
    expect(PROBE.name).toBe('probe')
  })
})

const ASK = { name: 'ask', text: '' }

function start(stack: AsyncDisposableStack, states: Record<string, State>, options: Partial<PrimaryOptions> = {}) {
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
async function answer(servers: Pick<ReturnType<typeof createServers>, 'callsOf'>, host: PostgresHost) {
  await endOfTurn()
  for (const { resolve, values } of servers.callsOf(host)) resolve([{ values }])
}

/** Waits until the primary in use is another one. */
const moved = (primary: Primary, generation: number) =>
  expect.poll(() => primary.generation(), { interval: 5 }).toBe(generation)

describe('the primary', () => {
  test('runs statements on the server that was found, once it is prepared', async () => {
    await using stack = new AsyncDisposableStack()
    const prepared = Promise.withResolvers<void>()
    const { primary, ask, callsOf, of, isOpen, reports, ...servers } = start(
      stack,
      { a: STANDBY, b: primaryAt(1) },
      { prepare: () => prepared.promise },
    )
    const asked = ask('value')
    await endOfTurn()
    expect(callsOf(B)).toEqual([])
    expect(primary.generation()).toBe(0)
    prepared.resolve()
    await primary.opened
    expect(primary.generation()).toBe(1)
    await answer({ ...servers, callsOf }, B)
    expect(await asked).toEqual([{ values: ['value'] }])
    expect(of(B)).toHaveLength(1)
    expect(isOpen(A)).toEqual([false])
    expect(reports()).toEqual([])
  })

  test('rejects with the error of a statement, and stays', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, callsOf, reports } = start(stack, { a: primaryAt(1) })
    await primary.opened
    const asked = messageOf(ask())
    await endOfTurn()
    callsOf(A)[0]?.reject('23505')
    expect(await asked).toBe('error 23505')
    expect(primary.generation()).toBe(1)
    expect(reports()).toEqual([])
  })

  test('gathers the items of one turn in a step', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, callsOf, ...servers } = start(stack, { a: primaryAt(1) })
    await primary.opened
    const add = primary.gather(async (items: readonly number[], run) => {
      await run(ASK, items)
      return items.map((item) => item * 10)
    })
    const answers = Promise.all([add(1), add(2)])
    await endOfTurn()
    await answer({ ...servers, callsOf }, A)
    expect(await answers).toEqual([10, 20])
    expect(callsOf(A)).toMatchObject([{ values: [1, 2] }])
  })
})

describe('while no server takes writes', () => {
  const NONE = 'no PostgreSQL server takes writes (a:5432: away)'

  test('opens, rejects calls at once, reports each reason once, and serves once a server does', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, reports, ...servers } = start(stack, { a: new Error('away') })
    const waiting = messageOf(ask())
    await primary.opened
    expect(await waiting).toBe(NONE)
    const error = await ask().catch((reason: unknown) => reason)
    expect(error).toEqual(new Error(NONE, { cause: expect.objectContaining({ message: NONE }) }))
    await sleep(200)
    states.a = new Error('elsewhere')
    await expect.poll(reports).toEqual([NONE, 'no PostgreSQL server takes writes (a:5432: elsewhere)'])
    states.a = primaryAt(1)
    await moved(primary, 1)
    const asked = ask()
    await answer({ ...servers, callsOf }, A)
    expect(await asked).toHaveLength(1)
    expect(reports()).toHaveLength(2)
    expect(callsOf(A), 'sends no call that it has rejected').toHaveLength(1)
  })

  test('rejects calls after 800 ms of the first search, and does not send them afterwards', async () => {
    await using stack = new AsyncDisposableStack()
    const found = Promise.withResolvers<void>()
    const servers = createServers({ a: primaryAt(1) })
    const { primary, ask } = start(
      stack,
      { a: primaryAt(1) },
      {
        async connect(host) {
          await found.promise
          return servers.connect(host)
        },
      },
    )
    expect(await messageOf(ask())).toBe('PostgreSQL has not answered within 800 ms')
    found.resolve()
    await primary.opened
    await endOfTurn()
    expect(servers.callsOf(A)).toEqual([])
  })

  test('searches after 50 ms, and then half as often each time, down to twice a second', async () => {
    await using stack = new AsyncDisposableStack()
    const begin = performance.now()
    const times: number[] = []
    start(
      stack,
      { a: new Error('away') },
      {
        async connect() {
          times.push(performance.now() - begin)
          throw new Error('away')
        },
      },
    )
    await expect.poll(() => times.length, { interval: 5 }).toBe(7)
    const pauses = times.slice(1).map((time, at) => time - (times[at] ?? 0))
    const expected = [50, 100, 200, 400, 500, 500]
    for (const [at, pause] of pauses.entries()) expect(pause).toBeGreaterThan((expected[at] ?? 0) - 5)
    // A busy machine may add to each.
    expect(times.at(-1)).toBeLessThan(2 * 1_750)
  })

  test('rejects where only an operator can help, and goes on searching', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, states } = start(stack, { a: createSqlError('28P01') })
    await expect(primary.opened).rejects.toBeInstanceOf(RefusedError)
    states.a = primaryAt(1)
    await moved(primary, 1)
  })

  test('does not use a server on which eight sessions of this process wait for the standby', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, states, isOpen, reports } = start(stack, { a: primaryAt(1, 8) })
    await primary.opened
    expect(reports()).toEqual(['PostgreSQL waits for its standby'])
    expect(isOpen(A)).toEqual([false])
    states.a = primaryAt(1, 7)
    await moved(primary, 1)
  })

  test('does not use a server that cannot be prepared', async () => {
    await using stack = new AsyncDisposableStack()
    let attempts = 0
    const { primary, isOpen, reports } = start(
      stack,
      { a: primaryAt(1) },
      {
        async prepare() {
          attempts += 1
          if (attempts === 1) throw new Error('no tables')
        },
      },
    )
    await primary.opened
    expect(reports()).toEqual(['no tables'])
    expect(isOpen(A)).toEqual([false])
    await moved(primary, 1)
  })

  test('gives up preparing after five seconds', async () => {
    await using stack = new AsyncDisposableStack()
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    stack.defer(() => void vi.useRealTimers())
    const { primary, isOpen } = start(
      stack,
      { a: primaryAt(1) },
      {
        prepare: async (connection) => void (await connection.run(ASK, [])),
      },
    )
    await endOfTurn()
    for (let part = 0; part < 4; part++) {
      expect(isOpen(A)).toEqual([true])
      await vi.advanceTimersByTimeAsync(1_250)
      await endOfTurn()
      await endOfTurn()
    }
    expect(isOpen(A)).toEqual([false])
    vi.useRealTimers()
    await primary.close()
  })
})

test('keeps the connection once it is prepared', async () => {
  await using stack = new AsyncDisposableStack()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  stack.defer(() => void vi.useRealTimers())
  const { primary, isOpen } = start(stack, { a: primaryAt(1) })
  await primary.opened
  for (let part = 0; part < 5; part++) {
    await vi.advanceTimersByTimeAsync(1_250)
    await endOfTurn()
  }
  expect(isOpen(A)).toEqual([true])
})

describe('leaving a server', () => {
  test('that takes no writes any more: calls reject, and the next one is searched', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, isOpen, reports } = start(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    const [first, second] = [messageOf(ask()), messageOf(ask())]
    await endOfTurn()
    states.a = new Error('away')
    states.b = primaryAt(2)
    callsOf(A)[0]?.reject('25006')
    expect(await first).toBe('error 25006')
    expect(await second).toBe('Connection terminated')
    await moved(primary, 2)
    expect(isOpen(A).some(Boolean)).toBe(false)
    expect(reports()).toEqual(['error 25006'])
  })

  test('that has another timeline after it has failed, since another one answers at its address', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, reports } = start(stack, { a: primaryAt(1) })
    await primary.opened
    const asked = messageOf(ask())
    await endOfTurn()
    states.a = primaryAt(2)
    callsOf(A)[0]?.reject('57P01')
    expect(await asked).toBe('error 57P01')
    await moved(primary, 2)
    expect(reports()).toEqual(['error 57P01', 'PostgreSQL has been replaced by another server'])
  })

  test('that answers nothing: the call rejects after 800 ms, and another one is used', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, isOpen, reports, ...servers } = start(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    states.a = new Error('away')
    states.b = primaryAt(2)
    const begin = performance.now()
    const asked = messageOf(ask())
    expect(await asked).toBe('PostgreSQL has not answered within 800 ms')
    expect(performance.now() - begin).toBeGreaterThan(750) // milliseconds
    await moved(primary, 2)
    expect(isOpen(A).some(Boolean)).toBe(false)
    expect(reports()).toEqual(['PostgreSQL has been replaced by another server'])
    const next = ask()
    await answer({ ...servers, callsOf }, B)
    expect(await next).toHaveLength(1)
  })

  test('once a second, if another one was promoted, as often as that happens', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, states, isOpen } = start(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    states.b = primaryAt(2)
    await moved(primary, 2)
    expect(isOpen(A).some(Boolean)).toBe(false)
    states.a = primaryAt(3)
    await moved(primary, 3)
    expect(isOpen(B).some(Boolean)).toBe(false)
  })

  test('is looked into once a second over a connection that is closed again', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, isOpen } = start(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    await expect.poll(() => isOpen(A).length).toBe(2)
    await endOfTurn()
    expect(isOpen(A)).toEqual([true, false])
    expect(primary.generation()).toBe(1)
  })

  test('happens not while it is the only one and answers', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, of } = start(stack, { a: primaryAt(1) })
    await primary.opened
    await sleep(1_200)
    expect(of(A)).toHaveLength(1)
    expect(primary.generation()).toBe(1)
  })

  test('happens not where a connection was lost and it still is the primary', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, callsOf, of, reports, ...servers } = start(stack, { a: primaryAt(1) })
    await primary.opened
    of(A)[0]?.drop(new Error('terminated'))
    await expect.poll(reports).toEqual(['terminated'])
    const asked = ask()
    await endOfTurn()
    await endOfTurn()
    await answer({ ...servers, callsOf }, A)
    expect(await asked).toHaveLength(1)
    expect(primary.generation()).toBe(1)
  })

  test('happens not where it rejects new connections and serves those that it has', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, ...servers } = start(stack, { a: primaryAt(1) })
    await primary.opened
    const [first, second] = [ask(), messageOf(ask())]
    await endOfTurn()
    await endOfTurn()
    callsOf(A)[0]?.resolve()
    await first
    states.a = { ...primaryAt(1), isFull: true }
    callsOf(A)[1]?.reject('57P01')
    expect(await second).toBe('error 57P01')
    await sleep(50)
    const asked = ask()
    await answer({ ...servers, callsOf }, A)
    expect(await asked).toHaveLength(1)
    expect(primary.generation()).toBe(1)
  })

  test('happens where it is gone, and no connection to it is left', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, of, reports } = start(stack, { a: primaryAt(1) })
    await primary.opened
    states.a = new Error('away')
    of(A)[0]?.drop(new Error('terminated'))
    await expect.poll(reports).toEqual(['terminated', 'no PostgreSQL server takes writes (a:5432: away)'])
    expect(await messageOf(ask())).toBe('no PostgreSQL server takes writes (a:5432: away)')
    states.a = primaryAt(1)
    await moved(primary, 2)
  })

  test('happens where another one with the same timeline was found first', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, states, isOpen } = start(stack, { a: primaryAt(1), b: STANDBY, c: STANDBY })
    await primary.opened
    states.a = STANDBY
    states.c = primaryAt(1)
    await moved(primary, 2)
    expect(isOpen(A).some(Boolean)).toBe(false)
    expect(isOpen(C).some(Boolean)).toBe(true)
  })
})

test('rejects calls that still wait for a connection after 600 ms, without having sent them', async () => {
  await using stack = new AsyncDisposableStack()
  const { primary, ask, callsOf, ...servers } = start(stack, { a: primaryAt(1) })
  await primary.opened
  const running = Promise.all([1, 2, 3, 4, 5].map(ask))
  await endOfTurn()
  const begin = performance.now()
  expect(await messageOf(ask('late'))).toBe('PostgreSQL is too slow; the call was not sent')
  expect(performance.now() - begin).toBeGreaterThan(550) // milliseconds
  await answer({ ...servers, callsOf }, A)
  await running
  expect(callsOf(A)).toHaveLength(5)
})

describe('closing', () => {
  test('waits for calls, closes all connections and rejects later calls', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, callsOf, isOpen, ...servers } = start(stack, { a: primaryAt(1) })
    await primary.opened
    const add = primary.gather(async (items: readonly number[]) => items)
    const asked = ask()
    await endOfTurn()
    const closing = primary.close()
    await expect(ask()).rejects.toThrow('the store is closed')
    await expect(add(1)).rejects.toThrow('the store is closed')
    expect(isOpen(A)).toEqual([true])
    await answer({ ...servers, callsOf }, A)
    expect(await asked).toHaveLength(1)
    await closing
    expect(isOpen(A)).toEqual([false])
  })

  test('ends the search, reports nothing more and closes what it finds', async () => {
    await using stack = new AsyncDisposableStack()
    const prepared = Promise.withResolvers<void>()
    const { primary, isOpen, of, reports } = start(stack, { a: primaryAt(1) }, { prepare: () => prepared.promise })
    await endOfTurn()
    await primary.close()
    prepared.resolve()
    await primary.opened
    expect(isOpen(A)).toEqual([false])
    await sleep(100)
    expect(of(A)).toHaveLength(1)
    expect(reports()).toEqual([])
  })

  test('ends the watch', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, of } = start(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    await primary.close()
    await sleep(1_100)
    expect(of(A)).toHaveLength(1)
  })
})
