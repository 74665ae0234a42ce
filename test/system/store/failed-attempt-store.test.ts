import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import type { FailedAttemptStore } from '../../../src/core/ports/failed-attempt-store.ts'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import { createRedisClient, type RedisClient } from '../../../src/store/redis/client.ts'
import { hasPostgres, startPostgres } from '../../support/postgres.ts'
import { hasProgram } from '../../support/programs.ts'
import { startRedis } from '../../support/redis.ts'
import { shareRedisNodes } from '../../support/redis-nodes.ts'
import { createStoreFolder, fewAtATime, openStore, shareFile, shareStores } from '../../support/stores.ts'
import { expectWithin } from '../../support/time.ts'

const NOW = Date.UTC(2026, 0, 1)
const folder = createStoreFolder('store')
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const ofEach = (count: number) => ({ blocks: count, counts: count })
const open = (store: string) => openStore('failures', store)

/** Two stores on the same data, as two processes have them. */
interface Kind {
  readonly kind: string
  openTwo(): Promise<[FailedAttemptStore, FailedAttemptStore]>
  empty(): Promise<void>
  /** The stores stay open for the next test. */
  readonly isShared?: boolean
}

const shared = shareFile('failures', () => join(folder, `${files++}.db`))
afterAll(() => shared.close())

const kinds: Kind[] = [{ kind: 'sqlite', openTwo: () => shared.openTwo(), empty: () => shared.empty(), isShared: true }]
if (hasProgram('redis-server')) {
  const redis = await startRedis()
  const stores = shareStores('failures', () => redis.url, redis.flush)
  afterAll(() => stores.close())
  afterAll(() => redis.stop())
  kinds.push({ kind: 'redis', openTwo: stores.openTwo, empty: stores.empty, isShared: true })
  for (const nodes of shareRedisNodes()) {
    const stores = shareStores('failures', nodes.url, nodes.flush)
    afterAll(() => stores.close())
    afterAll(nodes.stop)
    kinds.push({ kind: nodes.kind, openTwo: stores.openTwo, empty: stores.empty, isShared: true })
  }
}
if (hasPostgres()) {
  const postgres = await startPostgres()
  afterAll(() => postgres.stop())
  const database = await postgres.createDatabase()
  const stores = shareStores('failures', () => database, postgres.empty)
  afterAll(() => stores.close())
  kinds.push({ kind: 'postgres', openTwo: stores.openTwo, empty: stores.empty, isShared: true })
}

describe.each(kinds)('$kind', ({ openTwo, empty, isShared }) => {
  async function withStores(
    use: (...stores: [FailedAttemptStore, FailedAttemptStore]) => Promise<void>,
  ): Promise<void> {
    const stores = await openTwo()
    try {
      await use(...stores)
    } finally {
      await empty()
      if (!isShared) await Promise.all(stores.map((store) => store.close()))
    }
  }

  test('adds failures up and expires them together with the first', () =>
    withStores(async (store, other) => {
      expect(await store.add('a', 1_000, NOW)).toEqual({ key: 'a', failures: 1, expires: NOW + 1_000 })
      expect(await other.add('a', 1_000, NOW + 999)).toEqual({ key: 'a', failures: 2, expires: NOW + 1_000 })
      expect(await store.add('b', 5_000, NOW)).toEqual({ key: 'b', failures: 1, expires: NOW + 5_000 })
    }))

  test('stops counting failures once they have expired', () =>
    withStores(async (store) => {
      await store.add('a', 1_000, NOW)
      await store.add('a', 1_000, NOW)
      expect(await store.list(NOW + 1_000, ofEach(10))).toEqual([])
      expect(await store.add('a', 1_000, NOW + 1_000)).toEqual({ key: 'a', failures: 1, expires: NOW + 2_000 })
    }))

  test('counts one hundred simultaneous failures exactly', () =>
    withStores(async (store, other) => {
      const counts = await Promise.all(
        Array.from({ length: 100 }, (_, at) => (at % 2 ? store : other).add('a', 1_000, NOW)),
      )
      expect(counts.map(({ failures }) => failures).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 100 }, (_, at) => at + 1),
      )
    }))

  test('makes a running count a block, and does not restore one that expired', () =>
    withStores(async (store, other) => {
      await store.add('a', 1_000, NOW)
      await other.block('a', NOW + 60_000, NOW)
      await other.block('b', NOW + 60_000, NOW)
      expect(await store.list(NOW + 1_000, ofEach(10))).toEqual([{ key: 'a', failures: 1, expires: NOW + 60_000 }])
      await store.block('a', NOW + 90_000, NOW + 60_000)
      expect(await store.list(NOW + 60_000, ofEach(10))).toEqual([])
    }))

  test('returns how many failures it removed, 0 where there was no count', () =>
    withStores(async (store, other) => {
      await store.add('a', 1_000, NOW)
      await store.add('a', 1_000, NOW)
      expect(await other.remove('a', 10)).toBe(2)
      expect(await store.remove('a', 10)).toBe(0)
      expect(await store.list(NOW, ofEach(10))).toEqual([])
      expect(await store.add('a', 1_000, NOW)).toMatchObject({ failures: 1 })
    }))

  test('does not remove a count that has reached the limit', () =>
    withStores(async (store) => {
      await store.add('a', 1_000, NOW)
      await store.add('a', 1_000, NOW)
      expect(await store.remove('a', 2)).toBe(0)
      expect(await store.list(NOW, ofEach(10))).toMatchObject([{ key: 'a', failures: 2 }])
      expect(await store.remove('a', 3)).toBe(2)
    }))

  test('subtracts failures from a count below the limit, and removes a count without failures', () =>
    withStores(async (store, other) => {
      for (let count = 0; count < 3; count++) await store.add('a', 1_000, NOW)
      await other.subtract('a', 2, 3)
      expect(await store.list(NOW, ofEach(10))).toMatchObject([{ key: 'a', failures: 3 }])
      await other.subtract('a', 2, 4)
      expect(await store.list(NOW, ofEach(10))).toMatchObject([{ key: 'a', failures: 1, expires: NOW + 1_000 }])
      await other.subtract('a', 2, 4)
      await other.subtract('none', 2, 4)
      expect(await store.list(NOW, ofEach(10))).toEqual([])
    }))

  test('lists the latest counts, up to the requested number', () =>
    withStores(async (store, other) => {
      for (const [at, key] of ['a', 'b', 'c'].entries()) await store.add(key, 1_000, NOW + at)
      await store.add('ended', 1, NOW)
      expect((await other.list(NOW + 10, ofEach(10))).map(({ key }) => key)).toEqual(['c', 'b', 'a'])
      expect((await store.list(NOW + 10, ofEach(2))).map(({ key }) => key)).toEqual(['c', 'b'])
    }))

  test('lists blocks before any number of other counts that have more failures and expire later', () =>
    withStores(async (store, other) => {
      for (const key of ['old block', 'new block']) await store.add(key, 60_000, NOW)
      await store.block('old block', NOW + 70_000, NOW)
      await other.block('new block', NOW + 80_000, NOW)
      const names = Array.from({ length: 2_500 }, (_, at) => `invented ${at}`)
      for (let failures = 0; failures < 2; failures++) {
        await fewAtATime.map(names, (name) => store.add(name, 90_000, NOW))
      }
      const listed = await other.list(NOW, { blocks: 10, counts: 2_000 })
      expect(listed).toHaveLength(2_002)
      expect(listed.slice(0, 2)).toEqual([
        { key: 'new block', failures: 1, expires: NOW + 80_000 },
        { key: 'old block', failures: 1, expires: NOW + 70_000 },
      ])
      expect(await other.list(NOW, { blocks: 1, counts: 0 })).toMatchObject([{ key: 'new block' }])
      // An ended block is an ordinary count again.
      await store.add('new block', 90_000, NOW + 80_000)
      expect(await store.list(NOW + 80_000, { blocks: 10, counts: 0 })).toEqual([])
    }))

  test('keeps counts while the clock of one process is wrong, and deletes them an hour after they expired', () =>
    withStores(async (store, other) => {
      await store.add('a', 60_000, NOW)
      await store.block('a', NOW + 60_000, NOW)
      const ahead = NOW + 60_000 + RETENTION_MS - 1
      expect(await other.list(ahead, ofEach(10))).toEqual([])
      await other.add('b', 60_000, ahead)
      await other.sweep(ahead)
      expect(await store.list(NOW, { blocks: 10, counts: 0 })).toEqual([
        { key: 'a', failures: 1, expires: NOW + 60_000 },
      ])
      await other.sweep(ahead + 1)
      expect(await store.list(NOW, { blocks: 10, counts: 0 })).toEqual([])
    }))

  test('lists none of more than one thousand counts that expired at once', () =>
    withStores(async (store) => {
      const names = Array.from({ length: 1_100 }, (_, at) => `${at}`)
      await fewAtATime.map(names, (name) => store.add(name, 60_000, NOW))
      await store.add('running', 60_001, NOW)
      expect(await store.list(NOW + 60_000, ofEach(10_000))).toEqual([
        { key: 'running', failures: 1, expires: NOW + 60_001 },
      ])
    }))

  test('rejects every call once closed, and can be closed again', () =>
    withStores(async (store) => {
      await store.close()
      await expect(store.add('a', 1_000, NOW)).rejects.toThrow()
      await expect(store.block('a', NOW + 1_000, NOW)).rejects.toThrow()
      await expect(store.subtract('a', 1, 10)).rejects.toThrow()
      await expect(store.sweep(NOW)).rejects.toThrow()
      await expect(store.remove('a', 10)).rejects.toThrow()
      await expect(store.list(NOW, ofEach(10))).rejects.toThrow()
      await store.close()
    }))

  test('accepts any text as a key', () =>
    withStores(async (store) => {
      const keys = ['account psc from 10.0.0.1', "'; DROP TABLE failures; --", 'ü 😀 \n', '__proto__', '*', '']
      for (const key of keys) await store.add(key, 1_000, NOW)
      expect((await store.list(NOW, ofEach(10))).map(({ key }) => key).toSorted()).toEqual(keys.toSorted())
    }))
})

describe('SQLite', () => {
  test('creates the file and its folder with access for their owner alone', async () => {
    const file = join(folder, 'deep/er/trimint.db')
    const store = await open(`sqlite:${file}`)
    await store.add('a', 1_000, NOW)
    for (const [path, mode] of [
      [file, 0o600],
      [`${file}-wal`, 0o600],
      [join(folder, 'deep/er'), 0o700],
    ] as const) {
      expect(statSync(path).mode & 0o777, path).toBe(mode)
    }
    await store.close()
  })

  test('rejects a file of a newer version and leaves it unchanged', async () => {
    const file = join(folder, 'newer.db')
    const database = new DatabaseSync(file)
    database.exec('PRAGMA user_version = 99')
    database.close()
    await expect(open(`sqlite:${file}`)).rejects.toThrow(
      /^the store is of version 99, this release knows versions up to \d+$/,
    )
    const again = new DatabaseSync(file)
    expect(again.prepare('PRAGMA user_version').get()).toEqual({ user_version: 99 })
    again.close()
  })

  test('rejects a file that is not a database and leaves it unchanged', async () => {
    const file = join(folder, 'text.db')
    writeFileSync(file, 'this is a text, and longer than the header of a database would be. '.repeat(20))
    await expect(open(`sqlite:${file}`)).rejects.toThrow(/not a database/)
    expect(statSync(file).size).toBeGreaterThan(1_000)
  })

  test('rejects in time while another process has the lock, without blocking the event loop', async () => {
    const file = join(folder, 'held.db')
    const store = await openStore('failures', `sqlite:${file}`, { timeoutMs: 100 })
    using other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    let turns = 0
    const counting = setInterval(() => {
      turns += 1
    }, 5)
    await expect(store.add('a', 1_000, NOW)).rejects.toThrow('the store did not answer within 100 ms')
    clearInterval(counting)
    expect(turns).toBeGreaterThan(3)
    other.exec('COMMIT')
    expect(await store.add('a', 1_000, NOW)).toMatchObject({ failures: 1 })
    await store.close()
  })
})

describe.skipIf(!hasProgram('redis-server'))('Redis', () => {
  async function withRedis(use: (store: FailedAttemptStore, client: RedisClient) => Promise<void>) {
    await using redis = await startRedis()
    const client = createRedisClient({ url: redis.url }, () => undefined)
    await client.connect()
    const store = await open(redis.url)
    try {
      await use(store, client)
    } finally {
      await store.close()
      client.destroy()
    }
  }

  test('writes one expiring key for each count, and two indexes', () =>
    withRedis(async (store, client) => {
      await store.add('a', 60_000, NOW)
      await store.block('a', NOW + 60_000, NOW)
      const keys = ['trimint:failures-blocks', 'trimint:failures-by-end', 'trimint:failures:a']
      expect((await client.keys('*')).toSorted()).toEqual(keys)
      const left = await client.pTTL('trimint:failures:a')
      expect(left).toBeGreaterThan(50_000)
      expect(left).toBeLessThanOrEqual(60_000)
    }))

  test('leaves no keys after removing a count, whether it existed or not', () =>
    withRedis(async (store, client) => {
      await store.block('never', NOW + 60_000, NOW)
      await store.remove('never', 10)
      expect(await client.dbSize()).toBe(0)
      await store.add('a', 60_000, NOW)
      await store.remove('a', 10)
      expect(await client.dbSize()).toBe(0)
    }))

  test('omits a count that Redis expired from the list, and later deletes it from the indexes', () =>
    withRedis(async (store, client) => {
      await store.add('a', 1, NOW)
      await expect.poll(() => client.exists('trimint:failures:a')).toBe(0)
      expect(await store.list(NOW, ofEach(10))).toEqual([])
      await store.sweep(NOW + RETENTION_MS)
      expect(await client.dbSize()).toBe(1)
      await store.sweep(NOW + RETENTION_MS + 1)
      expect(await client.dbSize()).toBe(0)
    }))
})

describe.skipIf(!hasProgram('redis-server'))('an unavailable Redis', () => {
  test('rejects quickly while Redis is down, and recovers once it returns', async () => {
    const redis = await startRedis()
    const errors: Error[] = []
    const store = await openStore('failures', redis.url, { onError: (error) => errors.push(error) })
    await store.add('a', 60_000, NOW)
    await redis.stop()
    await expectWithin(1_000, expect(store.add('a', 60_000, NOW)).rejects.toThrow())
    await using _again = await startRedis(redis.port)
    await expect
      .poll(
        () =>
          store.add('a', 60_000, NOW).then(
            ({ failures }) => failures,
            () => 0,
          ),
        { timeout: 10_000 },
      )
      .toBe(1)
    expect(errors.length).toBeGreaterThan(0)
    await store.close()
  })

  test('rejects calls and closes within a second while Redis hangs', async () => {
    await using redis = await startRedis()
    const store = await openStore('failures', redis.url)
    await store.add('a', 60_000, NOW)
    redis.freeze()
    await expectWithin(1_000, expect(store.add('a', 60_000, NOW)).rejects.toThrow(/not answered/))
    await expectWithin(2_000, store.close())
  })

  test('opens the store although Redis is unreachable', async () => {
    const store = await openStore('failures', 'redis://127.0.0.1:1/0')
    await expect(store.list(NOW, ofEach(1))).rejects.toThrow()
    await store.close()
  })
})
