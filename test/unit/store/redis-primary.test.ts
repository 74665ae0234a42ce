import { describe, expect, test } from 'vitest'
import type { RedisClient } from '../../../src/store/redis/client.ts'
import {
  countReplicas,
  isFromUnusableServer,
  NotPrimaryError,
  replacedError,
  requirePrimary,
  requireReplicated,
  requireWritable,
} from '../../../src/store/redis/primary.ts'

/** A client whose server has so many replicas that confirm a write, and, unless `isEmpty`, Trimint's key for waits. */
function createClient({ role = 'master', confirmed = 0, isEmpty = false } = {}) {
  const sent: unknown[][] = []
  let hasKey = !isEmpty
  const client = {
    hello: async () => ({ role }),
    del: async (...words: unknown[]) => void sent.push(['DEL', ...words]),
    async pExpire(...words: unknown[]) {
      sent.push(['PEXPIRE', ...words])
      return hasKey ? 1 : 0
    },
    async wait(...words: unknown[]) {
      sent.push(['WAIT', ...words])
      return confirmed
    },
    async set(...words: unknown[]) {
      sent.push(['SET', ...words])
      hasKey = true
    },
  }
  return { client: client as unknown as RedisClient, sent }
}

const DAY_MS = 86_400_000
const SET_BEAT = ['SET', 'trimint:beat', '', { expiration: { type: 'PX', value: DAY_MS } }]

test('accepts a primary', async () => {
  await requirePrimary(createClient().client)
})

test('rejects a replica by its role', async () => {
  const error = await requirePrimary(createClient({ role: 'replica' }).client).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(NotPrimaryError)
  expect(error).toEqual(expect.objectContaining({ message: 'Redis is a replica; expected the primary' }))
})

test('deletes a key that never exists, to learn whether the server accepts writes', async () => {
  const { client, sent } = createClient()
  await requireWritable(client)
  expect(sent).toEqual([['DEL', 'trimint:fence']])
})

describe('waiting for replicas', () => {
  test('changes the expiry of a key first, so that there is a write to wait for', async () => {
    const { client, sent } = createClient({ confirmed: 2 })
    await requireReplicated(client, 2)
    expect(sent).toEqual([
      ['PEXPIRE', 'trimint:beat', DAY_MS],
      ['WAIT', 2, 700],
    ])
  })

  test('creates the key where it is missing, and waits again', async () => {
    const { client, sent } = createClient({ confirmed: 1, isEmpty: true })
    await requireReplicated(client, 1)
    expect(sent.slice(2)).toEqual([SET_BEAT, ['PEXPIRE', 'trimint:beat', DAY_MS], ['WAIT', 1, 700]])
  })

  test('rejects where too few confirm', async () => {
    const error = await requireReplicated(createClient({ confirmed: 1 }).client, 2).catch((reason: unknown) => reason)
    expect(error).toEqual(
      expect.objectContaining({
        name: 'NotReplicatedError',
        message: '1 of 2 replicas have confirmed a write within 700 ms',
      }),
    )
    expect(isFromUnusableServer(error)).toBe(true)
  })
})

test('counts the replicas that confirm a write within 100 ms', async () => {
  const { client, sent } = createClient({ confirmed: 3 })
  expect(await countReplicas(client)).toBe(3)
  expect(sent).toEqual([SET_BEAT, ['WAIT', 1_000, 100]])
})

test.each([
  [replacedError(), true],
  [new NotPrimaryError('any'), true],
  ...['READONLY', 'MASTERDOWN', 'LOADING', 'MISCONF', 'NOREPLICAS', 'UNBLOCKED', 'MOVED', 'CLUSTERDOWN'].map(
    (code) => [new Error(`${code} and why`), true] as const,
  ),
  [new Error('ERR it said READONLY'), false],
  [new Error('READONLYS'), false],
  [new Error('OOM command not allowed'), false],
  ['READONLY', false],
  [undefined, false],
] as const)('tells whether another server may be the primary by now: %s', (error, isUnusable) => {
  expect(isFromUnusableServer(error)).toBe(isUnusable)
})

test('names its errors', () => {
  expect(replacedError().name).toBe('NotPrimaryError')
  expect(replacedError().message).toBe('Redis has been replaced by another server')
})
