import { expect, test } from 'vitest'
import type { RedisAddress } from '../../../src/core/ports/redis-url.ts'
import type { RedisClient } from '../../../src/store/redis/client.ts'
import { RefusedError } from '../../../src/store/redis/refusal.ts'
import { COMMANDS, REPLICATION_COMMANDS, requireRights } from '../../../src/store/redis/rights.ts'

// The commands themselves are compared with what the stores send in test/system/store/redis-connection.test.ts.

/** Checks the rights of a user for whom some commands fail. */
async function check(
  address: Partial<RedisAddress> = {},
  fail: (words: readonly string[]) => string | undefined = () => undefined,
) {
  const sent: string[] = []
  const client = {
    async sendCommand(words: readonly string[]) {
      sent.push(words.join(' '))
      const failure = fail(words)
      if (failure) throw new Error(failure)
    },
  } as unknown as RedisClient
  const outcome = await requireRights(client, { topology: 'single', replicas: 0, ...address }).catch(
    (reason: unknown) => reason,
  )
  return { sent, outcome }
}

const NOPERM = 'NOPERM this user has no permissions'

const lines = (commands: readonly (readonly string[])[]) => commands.map((words) => words.join(' '))

test('queues every command in a transaction, and discards it', async () => {
  const { sent, outcome } = await check()
  expect(sent).toEqual(['MULTI', ...lines(COMMANDS), 'DISCARD'])
  expect(outcome).toBeUndefined()
})

test('adds what waiting for replicas needs', async () => {
  const { sent } = await check({ replicas: 1 })
  expect(sent).toEqual(['MULTI', ...lines([...COMMANDS, ...REPLICATION_COMMANDS]), 'DISCARD'])
})

test('asks for the keys of a Cluster with their prefix', async () => {
  const { sent } = await check({ topology: 'cluster' })
  expect(sent).toHaveLength(COMMANDS.length + 2)
  expect(sent).toContain('GET {trimint}trimint:record:')
  expect(sent).toContain('TIME')
  expect(sent.filter((line) => line.includes('trimint:') && !line.includes('{trimint}trimint:'))).toEqual([])
})

test('names every command and key that is missing', async () => {
  const { outcome } = await check({}, ([name]) => (name === 'GET' || name === 'TIME' ? NOPERM : undefined))
  expect(outcome).toBeInstanceOf(RefusedError)
  expect(outcome).toEqual(
    expect.objectContaining({
      message: 'the Redis user lacks the rights to: GET trimint:record:, TIME (docs/stores.md lists all)',
    }),
  )
})

test('sends nothing more where transactions are missing: the commands would be executed', async () => {
  const { sent, outcome } = await check({}, () => NOPERM)
  expect(sent).toEqual(['MULTI'])
  expect(outcome).toEqual(expect.objectContaining({ message: expect.stringContaining('lacks the rights to: MULTI (') }))
})

test('accepts commands that fail for other reasons', async () => {
  const { outcome } = await check({}, ([name]) => (name === 'SETRANGE' ? 'OOM no memory' : undefined))
  expect(outcome).toBeUndefined()
})
