import { expect, test } from 'vitest'
import { askServer, askServers, describeFailure } from '../../../src/store/redis/ask-servers.ts'
import { RefusedError } from '../../../src/store/redis/refusal.ts'
import { startRedisStandIn } from '../../support/redis-stand-in.ts'

const SERVERS = [1, 2, 3].map((port) => ({ host: '127.0.0.1', port }))

const NO_ANSWERS = { found: [], failures: [], isRefused: false }

test('resolves to the answer of a server, and closes the connection', async () => {
  await using server = await startRedisStandIn(() => 'yes')
  expect(await askServer(server, (client) => client.sendCommand(['ASK']))).toBe('yes')
  expect(server.received).toEqual([['ASK']])
  await expect.poll(server.connections).toBe(0)
})

test('rejects with the error of a server, and closes the connection', async () => {
  await using server = await startRedisStandIn(() => new Error('ERR no'))
  await expect(askServer(server, (client) => client.sendCommand(['ASK']))).rejects.toThrow('ERR no')
  await expect.poll(server.connections).toBe(0)
})

test('rejects after 500 ms without an answer, and closes the connection', async () => {
  await using server = await startRedisStandIn(() => undefined)
  const begin = performance.now()
  const asking = askServer(server, (client) => client.sendCommand(['ASK']))
  await expect(asking).rejects.toThrow(new Error('has not answered within 500 ms'))
  expect(performance.now() - begin).toBeGreaterThan(450) // milliseconds
  await expect.poll(server.connections).toBe(0)
})

test('asks all servers at the same time, and keeps what was answered and what failed', async () => {
  const asked: number[] = []
  const allAsked = Promise.withResolvers<void>()
  const answers = await askServers(SERVERS, async ({ port }) => {
    asked.push(port)
    if (asked.length === 3) allAsked.resolve()
    await allAsked.promise
    if (port === 2) throw new Error('away')
    return port * 10
  })
  expect(answers).toEqual({ found: [10, 30], failures: ['127.0.0.1:2: away'], isRefused: false })
})

test.each([
  ['an error of each address of a name', new AggregateError([new Error('a'), new Error('b')]), 'a, b'],
  ['a reason that is not an Error', 'text', 'text'],
])('describes %s', async (_, reason, text) => {
  const { failures } = await askServers(SERVERS.slice(0, 1), () => Promise.reject(reason))
  expect(failures).toEqual([`127.0.0.1:1: ${text}`])
})

test.each([
  ['the first', 1],
  ['a later one', 3],
])('notes that %s of them refused the user', async (_, refusing) => {
  const { isRefused } = await askServers(SERVERS, async ({ port }) => {
    throw new Error(port === refusing ? 'NOAUTH Authentication required.' : 'away')
  })
  expect(isRefused).toBe(true)
})

test('names the reason of each server in an error', () => {
  expect(describeFailure('no primary', { ...NO_ANSWERS, failures: ['a: away', 'b: away'] })).toEqual(
    new Error('no primary (a: away; b: away)'),
  )
  expect(describeFailure('no primary', NO_ANSWERS).message).toBe('no primary')
})

test('tells a refusal by the class of the error', () => {
  expect(describeFailure('no primary', { ...NO_ANSWERS, isRefused: true })).toBeInstanceOf(RefusedError)
  expect(describeFailure('no primary', NO_ANSWERS)).not.toBeInstanceOf(RefusedError)
})
