import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { ask, createTopology, openConnection, type RedisStandIn, useStandIn } from '../../support/redis-stand-in.ts'

// When a connection is replaced, and what waits or rejects meanwhile. test/system has the same with real servers.

test('runs steps once it has connected and is prepared, and says which connection it is', async () => {
  await using stack = new AsyncDisposableStack()
  const server = await useStandIn(stack, ([name]) => name ?? null)
  const { connection, onError } = openConnection(stack, {
    topology: { find: async () => server, keyPrefix: 'prefix:' },
    prepare: async (client) => void (await client.sendCommand(['PREPARE'])),
  })
  const answers = Promise.all([1, 2].map(() => connection.run(async (client, id) => [await ask(client), id])))
  await connection.opened()
  expect(await answers).toEqual([
    ['ASK', 1],
    ['ASK', 1],
  ])
  await connection.run((client) => client.get('key'))
  expect(server.received).toEqual([['PREPARE'], ['ASK'], ['ASK'], ['GET', 'prefix:key']])
  expect(connection.keyPrefix).toBe('prefix:')
  expect(onError).not.toHaveBeenCalled()
})

test('rejects with the error of a step, and keeps the connection', async () => {
  await using stack = new AsyncDisposableStack()
  const server = await useStandIn(stack, () => new Error('ERR no'))
  const { connection, onError } = openConnection(stack, { topology: { find: async () => server, keyPrefix: '' } })
  await expect(connection.run(ask)).rejects.toThrow('ERR no')
  expect(await connection.run(async (_, id) => id)).toBe(1)
  expect(onError).not.toHaveBeenCalled()
})

test('rejects steps after the first failed attempt with its reason, and opened rejects with that too', async () => {
  await using stack = new AsyncDisposableStack()
  const { connection, onError } = openConnection(stack, {})
  const failure = new Error('no server')
  const first = connection.run(ask)
  await expect(connection.opened()).rejects.toThrow(failure)
  await expect(first).rejects.toThrow(new Error('Redis is unavailable: no server', { cause: failure }))
  expect(onError).toHaveBeenCalledExactlyOnceWith(failure)
  await expect(connection.run(ask)).rejects.toThrow('Redis is unavailable: no server')
})

test('tries again until it succeeds, and closes what failed', async () => {
  await using stack = new AsyncDisposableStack()
  const server = await useStandIn(stack, () => 'yes')
  let attempts = 0
  const { connection, onError } = openConnection(stack, {
    topology: { find: async () => server, keyPrefix: '' },
    async prepare() {
      attempts += 1
      if (attempts < 3) throw new Error(`unprepared ${attempts}`)
    },
  })
  await expect(connection.opened()).rejects.toThrow('unprepared 1')
  await expect.poll(() => connection.run(ask).catch(() => undefined)).toBe('yes')
  expect(onError.mock.calls.map(([{ message }]) => message)).toEqual(['unprepared 1', 'unprepared 2'])
  expect(server.connections()).toBe(1)
  expect(await connection.run(async (_, id) => id)).toBe(3)
})

test.each(['READONLY You cannot write', 'LOADING Redis is loading'])(
  'connects anew after %s, and steps that begin meanwhile wait for it',
  async (failure) => {
    await using stack = new AsyncDisposableStack()
    let failures = 1
    const server = await useStandIn(stack, () => (failures-- > 0 ? new Error(failure) : 'yes'))
    const { connection, onError } = openConnection(stack, { topology: { find: async () => server, keyPrefix: '' } })
    await expect(connection.run(ask)).rejects.toThrow(failure)
    expect(await connection.run(async (client, id) => [await ask(client), id])).toEqual(['yes', 2])
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: failure }))
    expect(server.connections()).toBe(1)
  },
)

test('connects anew after 800 ms without an answer, and rejects what was pending with the same reason', async () => {
  await using stack = new AsyncDisposableStack()
  let isSilent = true
  const server = await useStandIn(stack, () => (isSilent ? undefined : 'yes'))
  const { connection, onError } = openConnection(stack, { topology: { find: async () => server, keyPrefix: '' } })
  await connection.opened()
  const begin = performance.now()
  const first = connection.run(ask)
  await sleep(50)
  const second = connection.run(ask)
  const message = 'Redis has not answered within 800 ms'
  await expect(first).rejects.toThrow(message)
  expect(performance.now() - begin).toBeGreaterThan(750) // milliseconds
  await expect(second).rejects.toThrow(message)
  expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message, name: 'NoAnswerError' }))
  isSilent = false
  expect(await connection.run(ask)).toBe('yes')
})

test('begins no steps while one has waited for 600 ms, and begins them again once it is answered', async () => {
  await using stack = new AsyncDisposableStack()
  const server = await useStandIn(stack, () => 'yes')
  const { connection, onError } = openConnection(stack, { topology: { find: async () => server, keyPrefix: '' } })
  await connection.opened()
  const slow = Promise.withResolvers<string>()
  const first = connection.run(() => slow.promise)
  await sleep(400)
  expect(await connection.run(ask)).toBe('yes')
  await expect
    .poll(() => connection.run(ask).catch(({ message }: Error) => message), { interval: 5 })
    .toBe('Redis is too slow; no further steps until it answers')
  slow.resolve('late')
  expect(await first).toBe('late')
  expect(await connection.run(ask)).toBe('yes')
  expect(onError).not.toHaveBeenCalled()
})

test('connects anew when the server closes the connection', async () => {
  await using stack = new AsyncDisposableStack()
  const server = await useStandIn(stack, () => 'yes')
  const { connection, onError } = openConnection(stack, { topology: { find: async () => server, keyPrefix: '' } })
  await connection.opened()
  server.disconnect()
  await expect.poll(() => onError.mock.calls.length).toBe(1)
  expect(await connection.run(async (client, id) => [await ask(client), id])).toEqual(['yes', 2])
})

test('does not use a server that was replaced by the time it is prepared', async () => {
  await using stack = new AsyncDisposableStack()
  const [old, next] = [await useStandIn(stack, () => 'old'), await useStandIn(stack, () => 'next')]
  const { state, topology } = createTopology(old)
  const { connection, onError } = openConnection(stack, {
    topology,
    async prepare() {
      state.server = next
    },
  })
  await expect(connection.opened()).rejects.toThrow('Redis has been replaced by another server')
  await expect.poll(() => connection.run(ask).catch(() => undefined)).toBe('next')
  expect(onError).toHaveBeenCalledTimes(1)
  expect(old.received).toEqual([])
})

test('gives up an attempt after two seconds', async () => {
  await using stack = new AsyncDisposableStack()
  const server = await useStandIn(stack, () => undefined)
  const begin = performance.now()
  const { connection } = openConnection(stack, {
    topology: { find: async () => server, keyPrefix: '' },
    prepare: async (client) => void (await ask(client)),
  })
  await expect(connection.opened()).rejects.toThrow('Redis has not answered within 2000 ms')
  expect(performance.now() - begin).toBeGreaterThan(1_900) // milliseconds
})

describe('writing', () => {
  /** Confirms each write with so many replicas. */
  const confirming = (replicas: number) => (words: readonly string[]) => {
    if (words[0] === 'WAIT') return replicas
    return words[0] === 'PEXPIRE' ? 1 : 'yes'
  }
  const sent = ({ received }: RedisStandIn) => received.map(([name]) => name)

  test('waits for replicas, once for all writes that were answered together', async () => {
    await using stack = new AsyncDisposableStack()
    const server = await useStandIn(stack, confirming(1))
    const { connection } = openConnection(stack, { topology: { find: async () => server, keyPrefix: '' }, replicas: 1 })
    await connection.opened()
    expect(await Promise.all([connection.write(ask), connection.write(ask)])).toEqual(['yes', 'yes'])
    expect(sent(server)).toEqual(['ASK', 'ASK', 'PEXPIRE', 'WAIT'])
    expect(await connection.write(ask)).toBe('yes')
    expect(sent(server).slice(4)).toEqual(['ASK', 'PEXPIRE', 'WAIT'])
  })

  test('waits for none where the URL asks for none, or the step only reads', async () => {
    await using stack = new AsyncDisposableStack()
    const server = await useStandIn(stack, confirming(1))
    const topology = { find: async () => server, keyPrefix: '' }
    await openConnection(stack, { topology }).connection.write(ask)
    await openConnection(stack, { topology, replicas: 1 }).connection.run(ask)
    expect(sent(server)).toEqual(['ASK', 'ASK'])
  })

  test('rejects and connects anew where too few replicas confirm, and later writes wait anew', async () => {
    await using stack = new AsyncDisposableStack()
    let replicas = 0
    const server = await useStandIn(stack, (words) => confirming(replicas)(words))
    const { connection, onError } = openConnection(stack, {
      topology: { find: async () => server, keyPrefix: '' },
      replicas: 1,
    })
    await expect(connection.write(ask)).rejects.toThrow('0 of 1 replicas have confirmed')
    expect(onError).toHaveBeenCalledTimes(1)
    replicas = 1
    expect(await connection.write(ask)).toBe('yes')
  })

  test('lets a write that comes during a wait share the next one, also when the wait fails', async () => {
    await using stack = new AsyncDisposableStack()
    const waits: PromiseWithResolvers<number>[] = []
    const client = {
      pExpire: async () => 1,
      wait: () => {
        const wait = Promise.withResolvers<number>()
        waits.push(wait)
        return wait.promise
      },
    }
    const server = await useStandIn(stack, () => 'yes')
    const { connection } = openConnection(stack, {
      topology: { find: async () => server, keyPrefix: '' },
      replicas: 1,
      prepare: async (real) => void Object.assign(real, client),
    })
    await connection.opened()
    const write = () => connection.write(async () => 'done').catch(({ message }: Error) => message)
    const first = write()
    await expect.poll(() => waits.length).toBe(1)
    const later = [write(), write()]
    await sleep(20)
    expect(waits.length).toBe(1)
    waits[0]?.reject(new Error('ERR first'))
    await expect.poll(() => waits.length).toBe(2)
    waits[1]?.resolve(1)
    expect(await Promise.all([first, ...later])).toEqual(['ERR first', 'done', 'done'])
  })
})

describe('closing', () => {
  test('waits for steps, each of several commands, and rejects further ones', async () => {
    await using stack = new AsyncDisposableStack()
    const server = await useStandIn(stack, () => 'yes')
    const { connection, onError } = openConnection(stack, { topology: { find: async () => server, keyPrefix: '' } })
    await connection.opened()
    const running = connection.run(async (client) => {
      await ask(client)
      await sleep(20)
      return ask(client)
    })
    const closing = connection.close()
    await expect(connection.run(ask)).rejects.toThrow('the store is closed')
    expect(await running).toBe('yes')
    await closing
    await expect.poll(server.connections).toBe(0)
    expect(onError).not.toHaveBeenCalled()
  })

  test('ends an attempt, and starts no further one', async () => {
    await using stack = new AsyncDisposableStack()
    const server = await useStandIn(stack, () => undefined)
    let searches = 0
    const { connection, onError } = openConnection(stack, {
      topology: {
        async find() {
          searches += 1
          return server
        },
        keyPrefix: '',
      },
      prepare: async (client) => void (await ask(client)),
    })
    await expect.poll(() => server.received.length).toBe(1)
    const begin = performance.now()
    await connection.close()
    await expect.poll(server.connections).toBe(0)
    expect(performance.now() - begin).toBeLessThan(1_500) // milliseconds; the attempt itself would end after 2,000
    await sleep(100)
    expect(searches).toBe(1)
    expect(onError).not.toHaveBeenCalled()
  })

  test('asks the server no more', async () => {
    await using stack = new AsyncDisposableStack()
    const server = await useStandIn(stack, () => 'yes')
    const { state, topology } = createTopology(server)
    const { connection } = openConnection(stack, { topology })
    await connection.opened()
    await connection.close()
    const { searches } = state
    await sleep(600)
    expect(state.searches).toBe(searches)
  })
})
