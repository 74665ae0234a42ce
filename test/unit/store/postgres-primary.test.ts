import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { RefusedError } from '../../../src/store/postgres/refusal.ts'
import {
  A,
  ASK,
  answer,
  B,
  createServers,
  createSqlError,
  messageOf,
  moved,
  primaryAt,
  STANDBY,
  startPrimary,
} from '../../support/postgres-stand-in.ts'

// What becomes of calls, with a server and without one. test/system has the same with real servers.

describe('the primary', () => {
  test('runs statements on the server that was found, once it is prepared', async () => {
    await using stack = new AsyncDisposableStack()
    const prepared = Promise.withResolvers<void>()
    const { primary, ask, callsOf, of, isOpen, reports, ...servers } = startPrimary(
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
    const { primary, ask, callsOf, reports } = startPrimary(stack, { a: primaryAt(1) })
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
    const { primary, callsOf, ...servers } = startPrimary(stack, { a: primaryAt(1) })
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
    const { primary, ask, states, callsOf, reports, ...servers } = startPrimary(stack, { a: new Error('away') })
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
    const { primary, ask } = startPrimary(
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
    startPrimary(
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
    const { primary, states } = startPrimary(stack, { a: createSqlError('28P01') })
    await expect(primary.opened).rejects.toBeInstanceOf(RefusedError)
    states.a = primaryAt(1)
    await moved(primary, 1)
  })

  test('does not use a server on which eight sessions of this process wait for the standby', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, states, isOpen, reports } = startPrimary(stack, { a: primaryAt(1, 8) })
    await primary.opened
    expect(reports()).toEqual(['PostgreSQL waits for its standby'])
    expect(isOpen(A)).toEqual([false])
    states.a = primaryAt(1, 7)
    await moved(primary, 1)
  })

  test('does not use a server that cannot be prepared', async () => {
    await using stack = new AsyncDisposableStack()
    let attempts = 0
    const { primary, isOpen, reports } = startPrimary(
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
    const { primary, isOpen } = startPrimary(
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
  const { primary, isOpen } = startPrimary(stack, { a: primaryAt(1) })
  await primary.opened
  for (let part = 0; part < 5; part++) {
    await vi.advanceTimersByTimeAsync(1_250)
    await endOfTurn()
  }
  expect(isOpen(A)).toEqual([true])
})

test('rejects calls that still wait for a connection after 600 ms, without having sent them', async () => {
  await using stack = new AsyncDisposableStack()
  const { primary, ask, callsOf, ...servers } = startPrimary(stack, { a: primaryAt(1) })
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
    const { primary, ask, callsOf, isOpen, ...servers } = startPrimary(stack, { a: primaryAt(1) })
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
    const { primary, isOpen, of, reports } = startPrimary(
      stack,
      { a: primaryAt(1) },
      { prepare: () => prepared.promise },
    )
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
    const { primary, of } = startPrimary(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    await primary.close()
    await sleep(1_100)
    expect(of(A)).toHaveLength(1)
  })
})
