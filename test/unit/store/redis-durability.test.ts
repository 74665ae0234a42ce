import { expect, test } from 'vitest'
import type { RedisAddress } from '../../../src/core/ports/redis-url.ts'
import type { RedisClient } from '../../../src/store/redis/client.ts'
import type { RedisConnection } from '../../../src/store/redis/connection.ts'
import { findDurabilityWarnings } from '../../../src/store/redis/durability.ts'

/** A server with so many replicas, or one that fails. */
function connectTo(replicas: number | Error): RedisConnection {
  const client = {
    set: async () => 'OK',
    async wait() {
      if (replicas instanceof Error) throw replicas
      return replicas
    },
  } as unknown as RedisClient
  return { run: (step: (client: RedisClient) => Promise<unknown>) => step(client) } as unknown as RedisConnection
}

const find = (
  topology: RedisAddress['topology'],
  needed: number,
  replicas: number | Error,
  silent: readonly string[] = [],
) =>
  findDurabilityWarnings(
    { topology, replicas: needed } as RedisAddress,
    { warnings: async () => [...silent] },
    connectTo(replicas),
  )

const NO_REPLICA = 'the primary has no replica that could replace it'
const NO_WAIT = 'without ?wait=1, a fail-over loses the last writes'
const stops = (needed: number): string => `wait=${needed}: the loss of a replica stops all writes`
const loses = (needed: number, replicas: number): string =>
  `wait=${needed}: a fail-over to one of the other replicas (${replicas} in total) loses the last writes`

const CASES: [RedisAddress['topology'], needed: number, replicas: number, string[]][] = [
  ['single', 0, 0, []],
  ['single', 0, 1, [NO_WAIT]],
  ['single', 1, 0, []],
  ['single', 1, 1, [stops(1)]],
  ['single', 1, 2, [loses(1, 2)]],
  ['sentinel', 0, 0, [NO_REPLICA, NO_WAIT]],
  ['sentinel', 0, 2, [NO_WAIT]],
  ['sentinel', 2, 1, []],
  ['cluster', 2, 2, [stops(2)]],
  ['cluster', 1, 3, [loses(1, 3)]],
]

test.each(CASES)(
  'warns about a %s Redis with wait=%s and %s replicas',
  async (topology, needed, replicas, expected) => {
    expect(await find(topology, needed, replicas)).toEqual(expected)
  },
)

test('names each server that does not answer first', async () => {
  expect(await find('single', 0, 0, ['a', 'b'])).toEqual(['no answer from a', 'no answer from b'])
})

test('leaves out what the user may not ask', async () => {
  const refused = new Error('NOPERM this user has no permissions to run the info command')
  expect(await find('single', 1, refused)).toEqual([])
  expect(await find('single', 0, refused)).toEqual([])
  expect(await find('cluster', 0, refused)).toEqual([NO_WAIT])
})

test('rejects where the server fails otherwise', async () => {
  const failure = new Error('the connection was lost')
  await expect(find('sentinel', 1, failure)).rejects.toBe(failure)
})
