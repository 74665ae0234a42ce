import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openRedis } from '../../../src/store/redis/open.ts'
import { RefusedError } from '../../../src/store/redis/refusal.ts'
import { COMMANDS, REPLICATION_COMMANDS } from '../../../src/store/redis/rights.ts'
import { type Reply, startRedisStandIn } from '../../support/redis-stand-in.ts'

const nothing = () => undefined

/** Answers like a Redis whose replica confirms every write. */
const createServer =
  (refused?: string) =>
  ([name]: readonly string[]): Reply => {
    if (name === refused) return new Error('NOPERM this user has no permissions')
    return name === 'MULTI' || name === 'DISCARD' ? 'OK' : 1
  }

const CHECK = ['MULTI', ...COMMANDS.map(([name]) => name)]

test.each([
  ['', [...CHECK, 'DISCARD', 'DEL']],
  ['?wait=1', [...CHECK, ...REPLICATION_COMMANDS.map(([name]) => name), 'DISCARD', 'DEL', 'PEXPIRE', 'WAIT']],
])('checks each of six connections before it is used%s', async (query, expected) => {
  await using server = await startRedisStandIn(createServer())
  const stores = await openRedis(`${server.url}${query}`, nothing)
  expect(server.connections()).toBe(6)
  const sent = server.received.map(([name]) => name)
  expect(sent.toSorted()).toEqual(Array(6).fill(expected).flat().toSorted())
  await Promise.all(Object.values(stores).map((store) => ('close' in store ? store.close() : undefined)))
})

test('rejects where the server refuses the user, and leaves no connection open', async () => {
  await using server = await startRedisStandIn(createServer('XADD'))
  await expect(openRedis(server.url, nothing)).rejects.toBeInstanceOf(RefusedError)
  const sent = server.received.length
  await expect.poll(server.connections).toBe(0)
  // Longer than the first pause before another attempt.
  await sleep(150)
  expect(server.received).toHaveLength(sent)
})

test('opens where the server is a replica at first, and reports it for each connection', async () => {
  await using server = await startRedisStandIn(createServer())
  server.become('replica')
  const errors: string[] = []
  const stores = await openRedis(server.url, ({ message }) => errors.push(message))
  expect(errors).toEqual(Array(6).fill('Redis is a replica; expected the primary'))
  await Promise.all(Object.values(stores).map((store) => ('close' in store ? store.close() : undefined)))
})

test('rejects a malformed URL, without its password', async () => {
  await expect(openRedis('redis://:secret-password@host#1', nothing)).rejects.toThrow(
    new Error('number sign (a password writes # as %23)'),
  )
})
