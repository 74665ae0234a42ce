import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { createRedisClient, type RedisClient } from '../../../src/store/redis/client.ts'
import { formatIdentity } from '../../../src/store/redis/credential-record.ts'
import { hasProgram } from '../../support/programs.ts'
import { createCredential, createRecord, NOW } from '../../support/records.ts'
import { type StartedRedis, startRedis } from '../../support/redis.ts'

// What the stores on Redis do page by page.

describe.skipIf(!hasProgram('redis-server'))('a Redis with more records than a page', () => {
  let redis: StartedRedis
  let client: RedisClient
  let stores: Stores
  beforeAll(async () => {
    redis = await startRedis()
    client = createRedisClient({ url: redis.url }, () => undefined)
    await client.connect()
    stores = await openStores(redis.url)
  })
  beforeEach(() => redis.flush())
  afterAll(async () => {
    await stores?.close()
    client?.destroy()
    await redis?.stop()
  })

  test.each([
    { limit: 10_000, listed: 3_000 },
    { limit: 2_999, listed: 2_999 },
    { limit: 1_000, listed: 1_000 },
    { limit: 1, listed: 1 },
  ])('lists $listed of 3,000 registered keys with a limit of $limit, each once', async ({ limit, listed }) => {
    const credentials = Array.from({ length: 3_000 }, () => createCredential())
    const fields = credentials.map((credential) => [credential.keyId, `- ${formatIdentity(credential)}`])
    await client.hSet('trimint:credentials', Object.fromEntries(fields))
    const names = (await stores.credentials.list(limit)).map(({ keyId }) => keyId)
    expect(new Set(names).size).toBe(listed)
    expect(names).toHaveLength(listed)
  })

  test('deletes every token and every use of a copy that failed, and nothing else', async () => {
    const others = ['tokens of another program', 'trimint', 'trimint:revocations', 'trimint:credentials']
    for (const key of others) await client.set(key, '')
    const records = Array.from({ length: 1_500 }, () => createRecord({ client: undefined }))
    const limit = { maxRecords: 10_000, maxBytes: 1_000_000_000 }
    await Promise.all(records.map((record) => stores.tokens.create(record, limit)))
    await stores.uses.count('a', 10, NOW + 1_000_000_000_000, NOW)
    await stores.uses.touch([{ tokenId: 'a', usedAt: NOW, expires: NOW + 1_000_000_000_000 }], NOW)
    expect(await client.dbSize()).toBeGreaterThan(3_000)
    await stores.tokens.clear?.()
    await stores.uses.clear?.()
    const left = await client.keys('*')
    expect(left.filter((key) => key !== 'trimint:reserve').toSorted()).toEqual(others.toSorted())
  })
})
