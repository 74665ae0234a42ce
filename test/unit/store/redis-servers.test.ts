import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { parseRedisUrl } from '../../../src/core/ports/redis-url.ts'
import { createTopology, type Topology } from '../../../src/store/redis/topology.ts'
import { type RedisStandIn, startRedisStandIn } from '../../support/redis-stand-in.ts'

// Where createTopology finds the primary, and how long it keeps an answer.

afterEach(() => void vi.useRealTimers())

function topologyOf(url: string): Topology {
  const address = parseRedisUrl(url)
  if (typeof address === 'string') throw new Error(address)
  return createTopology(address)
}

const SENTINEL = (words: readonly string[]) =>
  words[1] === 'MASTER' ? { ip: '10.0.0.1', port: '7000', flags: 'master' } : ['10.0.0.1', '7000']

const CLUSTER = () => 'a 10.0.0.1:7000@1 master - 0 0 1 connected 0-16383\n'

describe('the server of a URL', () => {
  test.each([
    ['redis://host', 'redis://host:6379/0'],
    ['redis://host:7000/3', 'redis://host:7000/3'],
    ['redis://[::1]:7000', 'redis://[::1]:7000/0'],
    ['redis://user:p%40w@host', 'redis://user:p%40w@host:6379/0'],
    ['redis://:pw@host', 'redis://:pw@host:6379/0'],
    ['redis://user@host', 'redis://user:@host:6379/0'],
    ['rediss://host', 'rediss://host:6379/0'],
  ])('is found: %s', async (url, expected) => {
    const topology = topologyOf(url)
    expect(await topology.find()).toEqual({ url: expected })
    expect(topology.keyPrefix).toBe('')
    expect(topology.watch).toBeUndefined()
    expect(await topology.warnings()).toEqual([])
  })

  test('has the certificates of its file, read for each connection', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'trimint-ca-')), 'ca.pem')
    const topology = topologyOf(`rediss://host?ca=${path}`)
    for (const ca of ['first', 'second']) {
      writeFileSync(path, ca)
      expect(await topology.find()).toEqual({ url: 'rediss://host:6379/0', ca })
    }
  })
})

test('finds the server that Sentinel names, with the credentials and the database of the URL', async () => {
  await using sentinel = await startRedisStandIn(SENTINEL)
  const topology = topologyOf(`redis+sentinel://user:pw@127.0.0.1:${sentinel.port}/main/3`)
  expect(await topology.find()).toEqual({ url: 'redis://user:pw@10.0.0.1:7000/3' })
  expect(topology.keyPrefix).toBe('')
  expect(sentinel.received.map(([name]) => name)).toEqual(['SENTINEL', 'SENTINEL'])
})

test('finds the owner that a Cluster names, with the credentials of the URL, and prefixes its keys', async () => {
  await using node = await startRedisStandIn(CLUSTER)
  const topology = topologyOf(`redis+cluster://user:pw@127.0.0.1:${node.port}`)
  expect(await topology.find()).toEqual({ url: 'redis://user:pw@10.0.0.1:7000/0' })
  expect(topology.keyPrefix).toBe('{trimint}')
})

describe.each([
  ['Sentinel', 'redis+sentinel://SERVER/main', SENTINEL, 2],
  ['a Cluster', 'redis+cluster://SERVER', CLUSTER, 1],
] as const)('the answers of %s', (_, url, answer, questions) => {
  async function start(stack: AsyncDisposableStack) {
    const server: RedisStandIn = stack.use(await startRedisStandIn(answer))
    const topology = topologyOf(url.replace('SERVER', `127.0.0.1:${server.port}`))
    return { topology, searches: () => server.received.length / questions }
  }

  test('are shared by searches at the same time, and looked up again afterwards', async () => {
    await using stack = new AsyncDisposableStack()
    const { topology, searches } = await start(stack)
    await Promise.all([topology.find(), topology.find(), topology.watch?.()])
    expect(searches()).toBe(1)
    await topology.find()
    expect(searches()).toBe(2)
  })

  test('are watched no more than every 900 ms', async () => {
    await using stack = new AsyncDisposableStack()
    const { topology, searches } = await start(stack)
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    await topology.watch?.()
    vi.advanceTimersByTime(899)
    await topology.watch?.()
    expect(searches()).toBe(1)
    vi.advanceTimersByTime(1)
    await topology.watch?.()
    expect(searches()).toBe(2)
  })

  test('replace older ones, which then end no newer one', async () => {
    await using stack = new AsyncDisposableStack()
    const { topology, searches } = await start(stack)
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    await topology.find()
    vi.advanceTimersByTime(600)
    await topology.find()
    vi.advanceTimersByTime(600)
    await topology.watch?.()
    expect(searches()).toBe(2)
  })

  test('are warnings where a server fails', async () => {
    const topology = topologyOf(url.replace('SERVER', '127.0.0.1:1'))
    expect(await topology.warnings()).toEqual([expect.stringContaining('127.0.0.1:1: connect ECONNREFUSED')])
    await expect(topology.find()).rejects.toThrow('ECONNREFUSED')
  })
})
