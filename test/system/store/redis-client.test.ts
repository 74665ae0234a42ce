import { createServer, type Socket } from 'node:net'
import { setImmediate as endOfTurn } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openStores } from '../../../src/store/open-stores.ts'
import { createRedisClient } from '../../../src/store/redis/client.ts'
import { createRedisConnection, reconnectDelayMs, withDeadline } from '../../../src/store/redis/connection.ts'
import { createRedisTokenStore } from '../../../src/store/redis/token-store.ts'
import { createRedisUsageStore } from '../../../src/store/redis/usage-store.ts'
import { hasProgram } from '../../support/programs.ts'
import { startRedis } from '../../support/redis.ts'

const NOW = Date.UTC(2026, 0, 1)
const nothing = () => undefined
afterEach(() => void vi.useRealTimers())

/** Starts a server that accepts every connection and sends nothing. */
async function startSilentServer() {
  const sockets = new Set<Socket>()
  let hasFive: () => void
  const fiveConnected = new Promise<void>((done) => {
    hasFive = done
  })
  const server = createServer((socket) => {
    sockets.add(socket)
    if (sockets.size === 5) hasFive()
    socket.on('error', nothing)
    socket.resume().once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  return {
    url: `redis://127.0.0.1:${port}/0`,
    connections: () => sockets.size,
    fiveConnected,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}

test('reconnects after 50 ms, doubling the delay up to one second', () => {
  const delays = [0, 1, 2, 3, 4, 5, 100].map(reconnectDelayMs)
  expect(delays).toEqual([50, 100, 200, 400, 800, 1_000, 1_000])
})

test('clears the timeout of a step once it resolves or rejects', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  expect(await withDeadline(1_000, async () => 'answer')).toBe('answer')
  await expect(
    withDeadline(1_000, async () => {
      throw new Error('no answer')
    }),
  ).rejects.toThrow('no answer')
  expect(vi.getTimerCount()).toBe(0)
})

describe('openStores with Redis', () => {
  test('opens the stores at once while Redis is unreachable, and rejects their steps', async () => {
    const asked = performance.now()
    const errors: Error[] = []
    const stores = await openStores('redis://127.0.0.1:1/0', {
      onError: (error) => errors.push(error),
      onFatal: nothing,
    })
    expect(performance.now() - asked).toBeLessThan(4_000) // milliseconds; a silent server would take five seconds
    expect(errors.length).toBeGreaterThanOrEqual(5)
    await expect(stores.uses.counted('a'), 'rejects while offline').rejects.toThrow(
      'Redis is unavailable: connect ECONNREFUSED',
    )
    await stores.close()
  })

  test('opens the stores after two seconds when Redis accepts connections but sends nothing, and closes them at once', async () => {
    await using server = await startSilentServer()
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    const opening = openStores(server.url, { onError: nothing, onFatal: nothing })
    let isOpen = false
    void opening.then(() => {
      isOpen = true
    })
    await server.fiveConnected
    // Two seconds in four parts (deadline.ts), each of which ends in a real turn of the event loop.
    for (let part = 0; part < 4; part++) {
      expect(isOpen).toBe(false)
      await vi.advanceTimersByTimeAsync(500)
      await endOfTurn()
      await endOfTurn()
    }
    const stores = await opening
    // The fake clock stands still, so a wait would never end.
    await stores.close()
    vi.useRealTimers()
    await expect.poll(server.connections).toBe(0)
  })
})

/** Opens a connection that is ready, without the checks of open.ts. */
async function connect(url: string) {
  const connection = createRedisConnection({
    topology: { find: async () => ({ url }), keyPrefix: '' },
    replicas: 0,
    prepare: async () => undefined,
    onError: nothing,
  })
  await connection.opened()
  return connection
}

describe.skipIf(!hasProgram('redis-server'))('closing a Redis connection', () => {
  test('closes the socket and rejects pending commands when the server hangs', async () => {
    await using redis = await startRedis()
    const countSockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length
    const before = countSockets()
    const connection = await connect(redis.url)
    await connection.run((client) => client.sendCommand(['CLIENT', 'PAUSE', '60000', 'ALL']))
    const asked = connection.run((client) => client.set('a', 'b')).catch(({ message }: Error) => message)
    await connection.close()
    expect(await asked).toMatch(/disconnect|has not answered/i)
    await expect.poll(countSockets).toBe(before)
  })

  test('leaves no connection behind where the client was destroyed while it connected', async () => {
    await using redis = await startRedis()
    const client = createRedisClient({ url: redis.url }, nothing)
    const connected = client.connect()
    client.destroy()
    await expect(connected).rejects.toThrow()
    const spy = createRedisClient({ url: redis.url }, nothing)
    await spy.connect()
    await expect.poll(async () => (await spy.clientList()).length).toBe(1)
    spy.destroy()
  })

  test('waits for the answers to pending commands', async () => {
    await using redis = await startRedis()
    const connection = await connect(redis.url)
    const answers = Promise.all(
      Array.from({ length: 100 }, (_, at) => connection.run((client) => client.set(`${at}`, 'b'))),
    )
    // Commands are sent in a later microtask than the steps begin.
    await Promise.resolve()
    await connection.close()
    expect(new Set(await answers)).toEqual(new Set(['OK']))
    await connection.close()
  })
})

describe.skipIf(!hasProgram('redis-server'))('a Redis script', () => {
  /** Runs a test with a server and its counts of EVALSHA and EVAL calls. */
  async function withCalls(use: (tools: { url: string; calls: () => Promise<unknown> }) => Promise<void>) {
    await using redis = await startRedis()
    const spy = createRedisClient({ url: redis.url }, nothing)
    await spy.connect()
    const calls = async () => {
      const statistics = await spy.info('commandstats')
      const count = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(statistics)?.[1] ?? 0)
      return { evalsha: count('evalsha'), eval: count('eval') }
    }
    await use({ url: redis.url, calls })
    spy.destroy()
  }

  test('sends a script in full once, and only its digest from then on', () =>
    withCalls(async ({ url, calls }) => {
      const store = createRedisUsageStore(await connect(url))
      for (let number = 1; number <= 3; number++) expect(await store.count('a', 3, NOW + 1_000, NOW)).toBe(number)
      expect(await calls()).toEqual({ evalsha: 3, eval: 1 })
      await store.close()
    }))

  test('does not send a script again after the server rejects it', () =>
    withCalls(async ({ url, calls }) => {
      const connection = await connect(url)
      const store = createRedisTokenStore(connection)
      await store.revoke('a', NOW)
      await connection.run((client) => client.hSet('trimint:record:a', 'field', 'no text'))
      await expect(store.revoke('a', NOW)).rejects.toThrow('WRONGTYPE')
      expect(await calls()).toEqual({ evalsha: 2, eval: 1 })
      await store.close()
    }))
})
