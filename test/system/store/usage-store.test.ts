import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import type { UsageStore } from '../../../src/core/ports/usage-store.ts'
import type { StoreOptions } from '../../../src/store/open-stores.ts'
import { createRedisClient, type RedisClient } from '../../../src/store/redis/client.ts'
import { hasPostgres, startPostgres } from '../../support/postgres.ts'
import { hasProgram } from '../../support/programs.ts'
import { type StartedRedis, startRedis } from '../../support/redis.ts'
import { shareRedisNodes } from '../../support/redis-nodes.ts'
import { createStoreFolder, fewAtATime, openStore, shareFile, shareStores } from '../../support/stores.ts'
import { expectWithin } from '../../support/time.ts'

const NOW = Date.UTC(2026, 0, 1)
const LIFETIME = 600_000
const EXPIRY = NOW + LIFETIME
const FORGOTTEN = EXPIRY + RETENTION_MS

const folder = createStoreFolder('uses')
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const newFile = () => join(folder, `${made++}.db`)
const newId = () => `token-${made++}`

const open = (name: string, options?: StoreOptions): Promise<UsageStore> => openStore('uses', name, options)

/**
 * Two stores on the same data, as two processes would have. A store in memory cannot be shared: both are the same
 * one.
 */
interface Kind {
  readonly kind: string
  openTwo(): Promise<[UsageStore, UsageStore]>
  empty(): Promise<void>
  /** The stores stay open for the next test. */
  readonly isShared?: boolean
}

const file = shareFile('uses', newFile)
afterAll(() => file.close())

const kinds: Kind[] = [
  {
    kind: 'sqlite in memory',
    openTwo: async () => {
      const store = await open('sqlite::memory:')
      return [store, { ...store, close: async () => undefined }]
    },
    empty: async () => undefined,
  },
  {
    kind: 'sqlite',
    openTwo: () => file.openTwo(),
    empty: () => file.empty(),
    isShared: true,
  },
]
if (hasProgram('redis-server')) {
  const redis = await startRedis()
  const stores = shareStores('uses', () => redis.url, redis.flush)
  afterAll(() => stores.close())
  afterAll(() => redis.stop())
  kinds.push({ kind: 'redis', openTwo: stores.openTwo, empty: stores.empty, isShared: true })
  for (const nodes of shareRedisNodes()) {
    const stores = shareStores('uses', nodes.url, nodes.flush)
    afterAll(() => stores.close())
    afterAll(nodes.stop)
    kinds.push({ kind: nodes.kind, openTwo: stores.openTwo, empty: stores.empty, isShared: true })
  }
}
if (hasPostgres()) {
  const postgres = await startPostgres()
  afterAll(() => postgres.stop())
  const database = await postgres.createDatabase()
  const stores = shareStores('uses', () => database, postgres.empty)
  afterAll(() => stores.close())
  kinds.push({ kind: 'postgres', openTwo: stores.openTwo, empty: stores.empty, isShared: true })
}

/** Ids that a careless store would confuse. */
const ODD_IDS = [
  '',
  ' ',
  'a',
  'A',
  'a ',
  'a\0b',
  '"\'`;--',
  '\\ \n\r\t',
  'ü',
  'u\u0308',
  'ñ 漢字 😀 \u202e',
  '__proto__',
  'null',
  '0',
  '00',
  '%00$tokenId?1:*',
  '{hash}tag',
  'x'.repeat(2_000),
]

describe.each(kinds)('$kind', ({ openTwo, empty, isShared }) => {
  async function withStores(use: (...stores: [UsageStore, UsageStore]) => Promise<void>): Promise<void> {
    const stores = await openTwo()
    try {
      await use(...stores)
    } finally {
      await empty()
      if (!isShared) await Promise.all(stores.map((store) => store.close()))
    }
  }

  describe('counting', () => {
    test('counts up to the limit from any process and no further', () =>
      withStores(async (store, other) => {
        const id = newId()
        expect(await store.counted(id)).toBe(0)
        expect(await store.count(id, 3, EXPIRY, NOW)).toBe(1)
        expect(await other.count(id, 3, EXPIRY, NOW + 1)).toBe(2)
        expect(await store.counted(id)).toBe(2)
        expect(await store.count(id, 3, EXPIRY, NOW + 2)).toBe(3)
        for (const each of [store, other]) {
          expect(await each.count(id, 3, EXPIRY, NOW + 3)).toBeUndefined()
          expect(await each.counted(id)).toBe(3)
        }
      }))

    test('counts one use of a token that allows one', () =>
      withStores(async (store, other) => {
        const id = newId()
        expect(await store.count(id, 1, EXPIRY, NOW)).toBe(1)
        expect(await other.count(id, 1, EXPIRY, NOW)).toBeUndefined()
      }))

    test('does not count rejected uses, and continues under a higher limit', () =>
      withStores(async (store) => {
        const id = newId()
        await store.count(id, 1, EXPIRY, NOW)
        for (let at = 0; at < 5; at++) await store.count(id, 1, EXPIRY, NOW)
        expect(await store.count(id, 15, EXPIRY, NOW)).toBe(2)
      }))

    test('counts exactly fifteen of two hundred simultaneous uses through both stores, with distinct numbers', () =>
      withStores(async (store, other) => {
        for (let round = 0; round < 5; round++) {
          const id = newId()
          const counts = await Promise.all(
            Array.from({ length: 200 }, (_, at) => (at % 2 ? store : other).count(id, 15, EXPIRY, NOW)),
          )
          const counted = counts.filter((count) => count !== undefined).toSorted((a, b) => a - b)
          expect(counted).toEqual(Array.from({ length: 15 }, (_, at) => at + 1))
          expect(await store.counted(id)).toBe(15)
        }
      }))

    test('counts many tokens separately at the same time', () =>
      withStores(async (store, other) => {
        const ids = Array.from({ length: 300 }, newId)
        const timesOf = (at: number) => at % 4
        await Promise.all(
          ids.flatMap((id, at) =>
            Array.from({ length: timesOf(at) }, (_, time) => (time % 2 ? store : other).count(id, 15, EXPIRY, NOW)),
          ),
        )
        const counts = await Promise.all(ids.map((id) => other.counted(id)))
        expect(counts).toEqual(ids.map((_, at) => timesOf(at)))
      }))

    test("counts after the token's expiry, which callers check", () =>
      withStores(async (store) => {
        const id = newId()
        await store.count(id, 2, EXPIRY, NOW)
        expect(await store.count(id, 2, EXPIRY, EXPIRY + 1)).toBe(2)
        expect(await store.count(id, 2, EXPIRY, FORGOTTEN - 1)).toBeUndefined()
      }))

    test('counts under any text as an id', () =>
      withStores(async (store, other) => {
        const timesOf = (at: number) => (at % 3) + 1
        for (const [at, id] of ODD_IDS.entries()) {
          for (let time = 0; time < timesOf(at); time++) await store.count(id, 15, EXPIRY, NOW)
        }
        const counts = await Promise.all(ODD_IDS.map((id) => other.counted(id)))
        expect(counts).toEqual(ODD_IDS.map((_, at) => timesOf(at)))
      }))
  })

  describe('the last use', () => {
    test('returns the recorded time to every process', () =>
      withStores(async (store, other) => {
        const id = newId()
        expect(await store.lastUse(id)).toBeUndefined()
        await store.touch([{ tokenId: id, usedAt: NOW + 1, expires: EXPIRY }], NOW + 5)
        expect(await other.lastUse(id)).toBe(NOW + 1)
        await other.touch([{ tokenId: id, usedAt: NOW + 7, expires: EXPIRY }], NOW + 9)
        expect(await store.lastUse(id)).toBe(NOW + 7)
      }))

    test('never moves back, even within one call', () =>
      withStores(async (store, other) => {
        const id = newId()
        const touch = (...times: number[]) =>
          times.map((time) => ({ tokenId: id, usedAt: NOW + time, expires: EXPIRY }))
        await store.touch(touch(50), NOW + 50)
        await other.touch(touch(20), NOW + 60)
        expect(await store.lastUse(id)).toBe(NOW + 50)
        await store.touch(touch(51, 90, 70), NOW + 90)
        expect(await other.lastUse(id)).toBe(NOW + 90)
      }))

    test('keeps the latest of two hundred simultaneous times through both stores', () =>
      withStores(async (store, other) => {
        const id = newId()
        await Promise.all(
          Array.from({ length: 200 }, (_, at) =>
            // Neither ascending nor descending: the latest is in the middle.
            (at % 2 ? store : other).touch(
              [{ tokenId: id, usedAt: NOW + ((at * 37 + 90) % 200), expires: EXPIRY }],
              NOW,
            ),
          ),
        )
        expect(await store.lastUse(id)).toBe(NOW + 199)
      }))

    test('records many tokens in one call, and accepts an empty list', () =>
      withStores(async (store, other) => {
        const uses = Array.from({ length: 1_000 }, (_, at) => ({
          tokenId: newId(),
          usedAt: NOW + at,
          expires: EXPIRY + at,
        }))
        await store.touch(uses, NOW + 1_000)
        expect(await Promise.all(uses.map(({ tokenId }) => other.lastUse(tokenId)))).toEqual(
          uses.map(({ usedAt }) => usedAt),
        )
        await store.touch([], NOW)
      }))

    test('keeps the last use and the count independent', () =>
      withStores(async (store, other) => {
        const [counted, touched, both] = [newId(), newId(), newId()]
        for (const id of [counted, both]) await store.count(id, 2, EXPIRY, NOW)
        for (const id of [touched, both])
          await other.touch([{ tokenId: id, usedAt: NOW + 3, expires: EXPIRY }], NOW + 3)
        expect(await store.lastUse(counted)).toBeUndefined()
        expect(await store.counted(touched)).toBe(0)
        expect(await store.count(touched, 2, EXPIRY, NOW)).toBe(1)
        expect(await store.lastUse(touched)).toBe(NOW + 3)
        expect(await store.count(both, 2, EXPIRY, NOW)).toBe(2)
        expect(await store.lastUse(both)).toBe(NOW + 3)
      }))

    test('records under any text as an id', () =>
      withStores(async (store, other) => {
        await store.touch(
          ODD_IDS.map((tokenId, at) => ({ tokenId, usedAt: NOW + at, expires: EXPIRY })),
          NOW,
        )
        expect(await Promise.all(ODD_IDS.map((id) => other.lastUse(id)))).toEqual(ODD_IDS.map((_, at) => NOW + at))
      }))
  })

  test('keeps live tokens through repeated sweeps', () =>
    withStores(async (store, other) => {
      const id = newId()
      await store.count(id, 1, EXPIRY, NOW)
      await store.touch([{ tokenId: id, usedAt: NOW, expires: EXPIRY }], NOW)
      for (const now of [NOW, EXPIRY - 1, EXPIRY, FORGOTTEN - 1]) await other.sweep(now)
      expect(await store.count(id, 1, EXPIRY, FORGOTTEN - 1)).toBeUndefined()
      expect(await store.lastUse(id)).toBe(NOW)
    }))

  test('completes pending calls before it closes, rejects later ones, and can be closed again', () =>
    withStores(async (store) => {
      const ids = Array.from({ length: 300 }, newId)
      const counts = Promise.all(ids.map((id) => store.count(id, 15, EXPIRY, NOW)))
      await store.close()
      expect(await counts).toEqual(ids.map(() => 1))
      const id = ids[0] ?? ''
      await expect(store.count(id, 15, EXPIRY, NOW)).rejects.toThrow()
      await expect(store.counted(id)).rejects.toThrow()
      await expect(store.touch([{ tokenId: id, usedAt: NOW, expires: EXPIRY }], NOW)).rejects.toThrow()
      await expect(store.lastUse(id)).rejects.toThrow()
      await store.close()
    }))
})

describe('SQLite', () => {
  const count = (database: DatabaseSync) =>
    (database.prepare('SELECT count(*) AS count FROM uses').get() as { count: number }).count

  test('commits counts before it acknowledges them, and keeps them when it is opened again', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    const spy = new DatabaseSync(file)
    const ids = Array.from({ length: 64 }, newId)
    const seen: number[] = []
    await Promise.all(ids.map((id) => store.count(id, 2, EXPIRY, NOW).then(() => seen.push(count(spy)))))
    // One transaction holds all writes of a turn: when the first is acknowledged, all the others are visible.
    expect(seen).toEqual(Array(64).fill(64))
    spy.close()
    await store.touch([{ tokenId: ids[0] ?? '', usedAt: NOW + 5, expires: EXPIRY }], NOW + 5)
    await store.close()

    const again = await open(`sqlite:${file}`)
    expect(await Promise.all(ids.map((id) => again.counted(id)))).toEqual(ids.map(() => 1))
    expect(await again.lastUse(ids[0] ?? '')).toBe(NOW + 5)
    expect(await again.count(ids[0] ?? '', 2, EXPIRY, NOW)).toBe(2)
    expect(await again.count(ids[0] ?? '', 2, EXPIRY, NOW)).toBeUndefined()
    await again.close()
  })

  test('forgets a token one hour after its expiry and not before', async () => {
    const store = await open(`sqlite:${newFile()}`)
    const [early, late, touched] = [newId(), newId(), newId()]
    await store.count(early, 1, EXPIRY, NOW)
    await store.count(late, 1, EXPIRY + 1, NOW)
    await store.touch([{ tokenId: touched, usedAt: NOW, expires: EXPIRY }], NOW)
    await store.sweep(FORGOTTEN - 1)
    expect(await store.counted(early)).toBe(1)
    expect(await store.lastUse(touched)).toBe(NOW)
    await store.sweep(FORGOTTEN)
    expect(await store.counted(early)).toBe(0)
    expect(await store.lastUse(touched)).toBeUndefined()
    expect(await store.counted(late)).toBe(1)
    await store.close()
  })

  test('forgets many expired tokens and keeps the live ones', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    const ended = Array.from({ length: 2_500 }, newId)
    const running = Array.from({ length: 50 }, newId)
    await fewAtATime.map(ended, (id) => store.count(id, 15, EXPIRY, NOW))
    await Promise.all(running.map((id) => store.count(id, 15, EXPIRY + LIFETIME, NOW)))
    await store.sweep(FORGOTTEN)
    const spy = new DatabaseSync(file)
    expect(count(spy)).toBe(50)
    spy.close()
    expect(await Promise.all(running.map((id) => store.counted(id)))).toEqual(running.map(() => 1))
    await store.close()
  })

  test('sweeps without the write lock when nothing is due', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`, { timeoutMs: 50 })
    const id = newId()
    await store.count(id, 1, EXPIRY, NOW)
    using other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    await store.sweep(FORGOTTEN - 1)
    await expect(store.sweep(FORGOTTEN)).rejects.toThrow('the store did not answer within 50 ms')
    other.exec('COMMIT')
    expect(await store.counted(id)).toBe(1)
    await store.close()
  })

  test('waits for the lock of another process without blocking reads, and does not count rejected uses', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`, { timeoutMs: 200 })
    using other = new DatabaseSync(file)
    const id = newId()
    other.exec('BEGIN IMMEDIATE')
    const waiting = store.count(id, 2, EXPIRY, NOW)
    expect(await store.counted(id)).toBe(0)
    other.exec('COMMIT')
    expect(await waiting).toBe(1)

    other.exec('BEGIN IMMEDIATE')
    await Promise.all([
      expect(store.count(id, 2, EXPIRY, NOW)).rejects.toThrow('the store did not answer within 200 ms'),
      expect(store.touch([{ tokenId: id, usedAt: NOW, expires: EXPIRY }], NOW)).rejects.toThrow('did not answer'),
    ])
    other.exec('COMMIT')
    expect(await store.count(id, 2, EXPIRY, NOW)).toBe(2)
    expect(await store.lastUse(id)).toBeUndefined()
    await store.close()
  })
})

describe.skipIf(!hasProgram('redis-server'))('Redis', () => {
  async function withRedis(use: (store: UsageStore, redis: StartedRedis, client: RedisClient) => Promise<void>) {
    await using redis = await startRedis()
    const client = createRedisClient({ url: redis.url }, () => undefined)
    await client.connect()
    const store = await open(redis.url)
    try {
      await use(store, redis, client)
    } finally {
      await store.close()
      client.destroy()
    }
  }

  test('expires every key one hour after the token, however often and late it is used', () =>
    withRedis(async (store, _, client) => {
      const [counted, touched] = [newId(), newId()]
      await store.count(counted, 3, EXPIRY, NOW)
      await store.touch([{ tokenId: touched, usedAt: NOW, expires: EXPIRY }], NOW)
      const expectTimeLeft = async (most: number) => {
        const keys = await client.keys('*')
        expect(keys).toHaveLength(2)
        const times = await Promise.all(keys.map((key) => client.pTTL(key)))
        for (const time of times) {
          expect(time).toBeGreaterThan(most - 10_000)
          expect(time).toBeLessThanOrEqual(most)
        }
      }
      const names = [`trimint:last-use:${touched}`, `trimint:uses:${counted}`]
      expect((await client.keys('*')).toSorted()).toEqual(names)
      await expectTimeLeft(LIFETIME + RETENTION_MS)
      for (let time = 0; time < 3; time++) await store.count(counted, 3, EXPIRY, NOW)
      await expectTimeLeft(LIFETIME + RETENTION_MS)
      await store.touch([{ tokenId: touched, usedAt: NOW + 60_000, expires: EXPIRY }], NOW + 60_000)
      expect(Math.max(...(await Promise.all((await client.keys('*')).map((key) => client.pTTL(key)))))).toBeLessThan(
        LIFETIME + RETENTION_MS + 1,
      )
    }))

  test('keeps a use that is recorded late for one hour after the expiry', () =>
    withRedis(async (store, _, client) => {
      await store.touch([{ tokenId: newId(), usedAt: NOW, expires: EXPIRY }], EXPIRY - 60_000)
      const [key = ''] = await client.keys('*')
      const left = await client.pTTL(key)
      expect(left).toBeGreaterThan(60_000 + RETENTION_MS - 10_000)
      expect(left).toBeLessThanOrEqual(60_000 + RETENTION_MS)
    }))

  test('creates no keys for reads', () =>
    withRedis(async (store, _, client) => {
      await store.counted('never-used')
      await store.lastUse('never-used')
      await store.sweep(FORGOTTEN)
      expect(await client.dbSize()).toBe(0)
    }))

  test('loads its scripts again when the server has lost them, and counts once', () =>
    withRedis(async (store, _, client) => {
      const id = newId()
      for (const number of [1, 2, 3]) {
        await client.scriptFlush()
        expect(await store.count(id, 3, EXPIRY, NOW)).toBe(number)
        await client.scriptFlush()
        await store.touch([{ tokenId: id, usedAt: NOW + number, expires: EXPIRY }], NOW)
        expect(await store.lastUse(id)).toBe(NOW + number)
      }
      expect(await store.count(id, 3, EXPIRY, NOW)).toBeUndefined()
    }))

  const expectAllRefused = (store: UsageStore, reason: RegExp) =>
    expectWithin(
      1_000,
      Promise.all([
        expect(store.count('any', 15, EXPIRY, NOW)).rejects.toThrow(reason),
        expect(store.counted('any')).rejects.toThrow(reason),
        expect(store.touch([{ tokenId: 'any', usedAt: NOW, expires: EXPIRY }], NOW)).rejects.toThrow(reason),
        expect(store.lastUse('any')).rejects.toThrow(reason),
      ]),
    )

  test('rejects calls within a second while Redis is down, and recovers once it returns', () =>
    withRedis(async (store, redis) => {
      await store.count(newId(), 15, EXPIRY, NOW)
      await redis.stop()
      await expectAllRefused(store, /./)
      await using _again = await startRedis(redis.port)
      const id = newId()
      await expect.poll(() => store.count(id, 15, EXPIRY, NOW).catch(String)).toBe(1)
      expect(await store.counted(id)).toBe(1)
    }))

  test('rejects calls within a second while Redis hangs, and recovers when it continues', () =>
    withRedis(async (store, _, client) => {
      const id = newId()
      await store.count(id, 15, EXPIRY, NOW)
      await client.sendCommand(['CLIENT', 'PAUSE', '1500', 'ALL'])
      await expectAllRefused(store, /has not answered within 800 ms/)
      await expect.poll(() => store.counted(id).catch(String)).toBe(1)
    }))
})
