import { setImmediate as endOfTurn } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Call, createPool, MAX_ABANDONED } from '../../../src/store/postgres/pool.ts'
import { type ConnectionStandIn, createConnection, createSqlError } from '../../support/postgres-stand-in.ts'

afterEach(() => void vi.useRealTimers())

/** Starts a pool whose connections the test serves. */
function startPool({ connect }: { readonly connect?: () => Promise<ConnectionStandIn> } = {}) {
  const opened: ConnectionStandIn[] = []
  const waiting = new Set<Call>()
  const onFailure = vi.fn<(error: Error) => void>()
  const onReadOnly = vi.fn<(error: Error) => void>()
  const stopDeadline = vi.fn()
  const pool = createPool({
    waiting,
    async connect() {
      const connection = await (connect ? connect() : createConnection())
      opened.push(connection)
      return connection
    },
    onFailure,
    onReadOnly,
  })

  function call(name = 'ask'): Call {
    const next: Call = { statement: { name, text: '' }, values: [name], answer: Promise.withResolvers(), stopDeadline }
    // A test that closes the pool does not look at them.
    next.answer.promise.catch(() => undefined)
    waiting.add(next)
    return next
  }

  /** Makes calls and lets the pool take them. */
  async function dispatch(count: number): Promise<Call[]> {
    const calls = Array.from({ length: count }, () => call())
    pool.dispatch()
    await endOfTurn()
    return calls
  }

  return { pool, opened, waiting, onFailure, onReadOnly, stopDeadline, dispatch }
}

const names = ({ calls }: ConnectionStandIn) => calls.map(({ name }) => name)
const outcomeOf = ({ answer }: Call) => answer.promise.catch((error: Error) => error.message)

test('runs a call on a connection that it opens, and answers it', async () => {
  const { pool, opened, waiting, stopDeadline, dispatch } = startPool()
  expect(pool.hasConnections()).toBe(false)
  const [first] = (await dispatch(1)) as [Call]
  expect(opened).toHaveLength(1)
  expect(opened[0]?.calls).toMatchObject([{ name: 'ask', values: ['ask'] }])
  expect(waiting.size).toBe(0)
  expect(stopDeadline).not.toHaveBeenCalled()
  opened[0]?.calls[0]?.resolve([{ a: 1 }])
  expect(await first.answer.promise).toEqual([{ a: 1 }])
  expect(stopDeadline).toHaveBeenCalledOnce()
  expect(pool.hasConnections()).toBe(true)
})

test('has connections while one is being opened', async () => {
  const connecting = Promise.withResolvers<ConnectionStandIn>()
  const { pool, dispatch } = startPool({ connect: () => connecting.promise })
  await dispatch(1)
  expect(pool.hasConnections()).toBe(true)
  connecting.reject(new Error('away'))
  await endOfTurn()
  expect(pool.hasConnections()).toBe(false)
})

test('uses an idle connection before it opens another one', async () => {
  const { opened, pool, dispatch } = startPool()
  const added = createConnection()
  pool.add(added)
  await dispatch(1)
  added.calls[0]?.resolve()
  await endOfTurn()
  await dispatch(1)
  expect(added.calls).toHaveLength(2)
  expect(opened).toEqual([])
})

test('opens one connection after the other while calls wait, five at most', async () => {
  const { opened, waiting, dispatch } = startPool()
  await dispatch(7)
  expect(opened.map(names)).toEqual([['ask'], ['ask'], ['ask'], ['ask'], ['ask']])
  expect(waiting.size).toBe(2)
  opened[0]?.calls[0]?.resolve()
  await endOfTurn()
  expect(opened).toHaveLength(5)
  expect(waiting.size).toBe(1)
})

test('counts connections that are being opened, too', async () => {
  let attempts = 0
  const { pool, dispatch } = startPool({
    connect() {
      attempts += 1
      return new Promise(() => undefined)
    },
  })
  await dispatch(1)
  for (let at = 0; at < 10; at++) pool.dispatch()
  expect(attempts).toBe(5)
})

test.each(['22P02', '23505', '40001', '42703', '53200', '54000', '55P03', '57014'])(
  'keeps the connection after an error of the statement: %s',
  async (sqlState) => {
    const { opened, onFailure, onReadOnly, dispatch } = startPool()
    const [first] = (await dispatch(1)) as [Call]
    opened[0]?.calls[0]?.reject(sqlState)
    expect(await outcomeOf(first)).toBe(`error ${sqlState}`)
    await dispatch(1)
    expect(opened).toHaveLength(1)
    expect(opened[0]?.calls).toHaveLength(2)
    expect(onFailure).not.toHaveBeenCalled()
    expect(onReadOnly).not.toHaveBeenCalled()
  },
)

test.each(['57P01', '08006', '58030', 'XX000', '12200'])(
  'closes the connection after another error, and reports it: %s',
  async (sqlState) => {
    const { opened, onFailure, onReadOnly, dispatch } = startPool()
    const [first] = (await dispatch(1)) as [Call]
    opened[0]?.calls[0]?.reject(sqlState)
    expect(await outcomeOf(first)).toBe(`error ${sqlState}`)
    await endOfTurn()
    expect(opened[0]?.isClosed()).toBe(true)
    expect(onFailure).toHaveBeenCalledExactlyOnceWith(createSqlError(sqlState))
    expect(onReadOnly).not.toHaveBeenCalled()
    await dispatch(1)
    expect(opened).toHaveLength(2)
  },
)

test('reports a server that takes no writes on its own', async () => {
  const { opened, onFailure, onReadOnly, dispatch } = startPool()
  await dispatch(1)
  opened[0]?.calls[0]?.reject('25006')
  await endOfTurn()
  expect(onReadOnly).toHaveBeenCalledExactlyOnceWith(createSqlError('25006'))
  expect(onFailure).not.toHaveBeenCalled()
  expect(opened[0]?.isClosed()).toBe(true)
})

describe('a connection that cannot be opened', () => {
  test('is reported, and not tried again for half a second', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    let attempts = 0
    const failure = new Error('away')
    const { onFailure, waiting, pool, dispatch } = startPool({
      async connect() {
        attempts += 1
        if (attempts === 1) throw failure
        return createConnection()
      },
    })
    await dispatch(1)
    expect(onFailure).toHaveBeenCalledExactlyOnceWith(failure)
    vi.advanceTimersByTime(499)
    pool.dispatch()
    await endOfTurn()
    expect(attempts).toBe(1)
    expect(waiting.size).toBe(1)
    vi.advanceTimersByTime(1)
    await endOfTurn()
    expect(attempts).toBe(2)
    expect(waiting.size).toBe(0)
  })

  test('is not reported by a pool that was closed meanwhile', async () => {
    const connecting = Promise.withResolvers<ConnectionStandIn>()
    const { pool, onFailure, dispatch } = startPool({ connect: () => connecting.promise })
    await dispatch(1)
    pool.close()
    connecting.reject(new Error('away'))
    await endOfTurn()
    expect(onFailure).not.toHaveBeenCalled()
  })
})

describe('a call that nobody waits for any more', () => {
  test('takes its connection out of use, which closes once the server has answered', async () => {
    const { opened, pool, onFailure, dispatch } = startPool()
    const [first] = (await dispatch(1)) as [Call]
    first.abandon?.()
    expect(pool.hasConnections()).toBe(false)
    await dispatch(1)
    expect(opened).toHaveLength(2)
    expect(opened[0]?.isClosed()).toBe(false)
    opened[0]?.calls[0]?.resolve()
    await endOfTurn()
    expect(opened[0]?.isClosed()).toBe(true)
    expect(onFailure).not.toHaveBeenCalled()
  })

  test('counts: with eight, no further connections are opened until one is answered', async () => {
    const { opened, waiting, dispatch } = startPool()
    for (let at = 0; at < MAX_ABANDONED; at++) {
      const [call] = (await dispatch(1)) as [Call]
      call.abandon?.()
    }
    expect(MAX_ABANDONED).toBe(8)
    expect(opened).toHaveLength(8)
    await dispatch(1)
    expect(opened).toHaveLength(8)
    expect(waiting.size).toBe(1)
    opened[0]?.calls[0]?.resolve()
    await endOfTurn()
    expect(opened).toHaveLength(9)
    expect(waiting.size).toBe(0)
  })
})

describe('an idle connection that the server closes', () => {
  test.each([
    ['its error', new Error('terminated'), 'terminated'],
    ['a sentence where it has no error', undefined, 'PostgreSQL has closed the connection'],
  ])('is reported with %s, and not used', async (_, error, message) => {
    const { opened, pool, onFailure, dispatch } = startPool()
    const [lost, other] = [createConnection(), createConnection()]
    pool.add(other)
    pool.add(lost)
    lost.drop(error)
    await endOfTurn()
    expect(onFailure).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message }))
    await dispatch(2)
    expect(lost.calls).toEqual([])
    expect(names(other)).toEqual(['ask'])
    expect(opened).toHaveLength(1)
  })

  test('counts no more, although it has run calls', async () => {
    const { opened, pool, dispatch } = startPool()
    await dispatch(1)
    opened[0]?.calls[0]?.resolve()
    await endOfTurn()
    opened[0]?.drop()
    await endOfTurn()
    expect(pool.hasConnections()).toBe(false)
  })

  test('is reported once where it runs a call', async () => {
    const { opened, onFailure, dispatch } = startPool()
    await dispatch(1)
    opened[0]?.drop(createSqlError('57P01'))
    await endOfTurn()
    expect(onFailure).toHaveBeenCalledOnce()
  })
})

describe('a closed pool', () => {
  test('has closed every connection: idle, running and abandoned', async () => {
    const { opened, pool, onFailure, dispatch } = startPool()
    const calls = await dispatch(3)
    opened[0]?.calls[0]?.resolve()
    calls[1]?.abandon?.()
    await endOfTurn()
    pool.close()
    expect(opened.map((connection) => connection.isClosed())).toEqual([true, true, true])
    await endOfTurn()
    expect(onFailure).not.toHaveBeenCalled()
  })

  test('runs no calls, and opens no connections', async () => {
    const { opened, pool, waiting, dispatch } = startPool()
    pool.close()
    await dispatch(1)
    expect(opened).toEqual([])
    expect(waiting.size).toBe(1)
  })

  test('closes connections that come later', async () => {
    const { pool } = startPool()
    pool.close()
    const late = createConnection()
    pool.add(late)
    expect(late.isClosed()).toBe(true)
  })
})
