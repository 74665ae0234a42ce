import { describe, expect, test } from 'vitest'
import { ask, createTopology, openConnection, useStandIn } from '../../support/redis-stand-in.ts'

// When a connection leaves its server for another one. test/system has the same with real servers.

describe('asking twice a second', () => {
  test('leaves a server that says that it is a replica', async () => {
    await using stack = new AsyncDisposableStack()
    const server = await useStandIn(stack, () => 'yes')
    const { connection, onError } = openConnection(stack, { topology: { find: async () => server, keyPrefix: '' } })
    await connection.opened()
    server.become('replica')
    await expect.poll(() => onError.mock.calls.length).toBeGreaterThan(0)
    expect(onError.mock.calls[0]?.[0].message).toBe('Redis is a replica; expected the primary')
  })

  test('leaves a server once another one is the primary', async () => {
    await using stack = new AsyncDisposableStack()
    const [old, next] = [await useStandIn(stack, () => 'old'), await useStandIn(stack, () => 'next')]
    const { state, topology } = createTopology(old)
    const { connection, onError } = openConnection(stack, { topology })
    expect(await connection.run(ask)).toBe('old')
    state.server = next
    await expect.poll(() => connection.run(ask)).toBe('next')
    expect(onError).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ message: 'Redis has been replaced by another server' }),
    )
    expect(old.connections()).toBe(0)
  })

  test('stays while the same server is the primary', async () => {
    await using stack = new AsyncDisposableStack()
    const { state, topology } = createTopology(await useStandIn(stack, () => 'yes'))
    const { connection, onError } = openConnection(stack, { topology })
    await connection.opened()
    await expect.poll(() => state.searches).toBeGreaterThan(3)
    expect(await connection.run(async (client, id) => [await ask(client), id])).toEqual(['yes', 1])
    expect(onError).not.toHaveBeenCalled()
  })

  test.each([
    ['stays where the search fails', 'no majority', 'old'],
    ['leaves the server where another one is about to replace it', 'CLUSTERDOWN replacing', 'unavailable'],
  ])('%s', async (_, failure, expected) => {
    await using stack = new AsyncDisposableStack()
    const server = await useStandIn(stack, () => 'old')
    let searches = 0
    async function find() {
      searches += 1
      if (searches > 2) throw new Error(failure)
      return server
    }
    const { connection } = openConnection(stack, { topology: { find, watch: find, keyPrefix: '' } })
    await connection.opened()
    await expect.poll(() => searches).toBeGreaterThan(3)
    expect(await connection.run(ask).catch(() => 'unavailable')).toBe(expected)
  })

  test('gives up a server that is replaced while it is being prepared', async () => {
    await using stack = new AsyncDisposableStack()
    const [old, next] = [await useStandIn(stack, () => 'old'), await useStandIn(stack, () => 'next')]
    const { state, topology } = createTopology(old)
    const { connection } = openConnection(stack, {
      topology,
      // The old server hangs.
      prepare: (client) => (state.server === old ? new Promise(() => undefined) : Promise.resolve(void client)),
    })
    await expect.poll(() => state.searches).toBe(1)
    state.server = next
    await expect(connection.opened()).rejects.toThrow('Redis has been replaced by another server')
    await expect.poll(() => connection.run(ask).catch(() => undefined)).toBe('next')
    expect(old.connections()).toBe(0)
  })
})
