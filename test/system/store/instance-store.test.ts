import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import type { Announcement, InstanceStore } from '../../../src/core/ports/instance-store.ts'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import { createRedisClient } from '../../../src/store/redis/client.ts'
import { hasPostgres, startPostgres } from '../../support/postgres.ts'
import { hasProgram } from '../../support/programs.ts'
import { startRedis } from '../../support/redis.ts'
import { shareRedisNodes } from '../../support/redis-nodes.ts'
import { createStoreFolder, openStore, shareFile } from '../../support/stores.ts'

const NOW = Date.UTC(2026, 0, 1)
const folder = createStoreFolder('replicas')
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const open = (store: string) => openStore('replicas', store)

function announcement(changes: Partial<Announcement> = {}): Announcement {
  return { id: 'a/1', instance: 'a', keys: ['first', 'second'], expires: NOW + 1_000, ...changes }
}

const needs = (...entries: [fingerprint: string, until: number][]) => new Map(entries)
const NOTHING = needs()

/** Two stores on the same data, as two processes would have, new for each test. */
interface Kind {
  readonly kind: string
  create(): Promise<{ readonly stores: [InstanceStore, InstanceStore]; remove(): Promise<void> }>
  /** The stores stay open for the next test. */
  readonly isShared?: boolean
}

async function openTwice(name: string, remove: () => Promise<void>) {
  return { stores: [await open(name), await open(name)] as [InstanceStore, InstanceStore], remove }
}

const file = shareFile('replicas', () => join(folder, `${made++}.db`))
afterAll(() => file.close())

const kinds: Kind[] = [
  {
    kind: 'sqlite in memory',
    async create() {
      // A store in memory can be opened only once, so both are the same one.
      const store = await open('sqlite::memory:')
      return { stores: [store, store], remove: async () => undefined }
    },
  },
  {
    kind: 'an sqlite file',
    create: async () => ({ stores: await file.openTwo(), remove: () => file.empty() }),
    isShared: true,
  },
]
if (hasProgram('redis-server')) {
  const redis = await startRedis()
  afterAll(() => redis.stop())
  kinds.push({ kind: 'redis', create: () => openTwice(redis.url, async () => void (await redis.flush())) })
  for (const nodes of shareRedisNodes()) {
    afterAll(nodes.stop)
    kinds.push({ kind: nodes.kind, create: async () => openTwice(await nodes.url(), nodes.flush) })
  }
}
if (hasPostgres()) {
  const postgres = await startPostgres()
  afterAll(() => postgres.stop())
  const database = await postgres.createDatabase()
  kinds.push({ kind: 'postgres', create: () => openTwice(database, () => postgres.empty(database)) })
}

describe.each(kinds)('$kind', ({ create, isShared }) => {
  async function withStores(use: (...stores: [InstanceStore, InstanceStore]) => Promise<void>): Promise<void> {
    const { stores, remove } = await create()
    try {
      await use(...stores)
    } finally {
      await remove()
      if (!isShared) await Promise.all(stores.map((store) => store.close()))
    }
  }

  test('lists an announcement in another process unchanged', () =>
    withStores(async (store, other) => {
      const odd = announcement({ id: '__proto__', instance: '\'; DROP TABLE "x ü 😀', keys: [] })
      await store.announce(announcement(), NOTHING)
      await store.announce(odd, NOTHING)
      const seen = await other.running(NOW)
      expect(seen).toHaveLength(2)
      expect(seen).toEqual(expect.arrayContaining([announcement(), odd]))
    }))

  test('lists an announcement until it expires', () =>
    withStores(async (store, other) => {
      await store.announce(announcement(), NOTHING)
      expect(await other.running(NOW + 999)).toEqual([announcement()])
      expect(await other.running(NOW + 1_000)).toEqual([])
    }))

  test('replaces an announcement with the same id', () =>
    withStores(async (store, other) => {
      await store.announce(announcement(), NOTHING)
      const next = announcement({ keys: ['second'], expires: NOW + 5_000 })
      await store.announce(next, NOTHING)
      expect(await other.running(NOW)).toEqual([next])
    }))

  test('keeps two announcements of one process apart', () =>
    withStores(async (store, other) => {
      const next = announcement({ id: 'a/2', keys: ['second'] })
      await store.announce(announcement(), NOTHING)
      await store.announce(next, NOTHING)
      expect(await other.running(NOW)).toHaveLength(2)
      await store.leave('a/1', NOTHING)
      expect(await other.running(NOW)).toEqual([next])
    }))

  test('rejects every call once closed, and can be closed again', () =>
    withStores(async (store) => {
      await store.close()
      await expect(store.announce(announcement(), NOTHING)).rejects.toThrow()
      await expect(store.leave('a/1', NOTHING)).rejects.toThrow()
      await expect(store.running(NOW)).rejects.toThrow()
      await expect(store.neededUntil()).rejects.toThrow()
      await expect(store.sweep(NOW)).rejects.toThrow()
      await store.close()
    }))

  test('completes pending calls before it closes', () =>
    withStores(async (store) => {
      const announcing = store.announce(announcement(), NOTHING)
      await store.close()
      await announcing
    }))

  test('accepts the departure of an instance that never announced itself', () =>
    withStores(async (store, other) => {
      await store.leave('unknown', needs(['first', NOW]))
      expect(await other.running(NOW)).toEqual([])
      expect(await other.neededUntil()).toEqual(needs(['first', NOW]))
    }))

  test('only ever extends the time for which a key is needed, from any process', () =>
    withStores(async (store, other) => {
      await store.announce(announcement(), needs(['first', NOW + 100], ['second', NOW + 5]))
      await other.announce(announcement({ id: 'b/1' }), needs(['first', NOW + 50], ['second', NOW + 10]))
      await other.leave('b/1', needs(['first', NOW + 1], ['third', NOW + 1]))
      const known = needs(['first', NOW + 100], ['second', NOW + 10], ['third', NOW + 1])
      expect(await store.neededUntil()).toEqual(known)
    }))

  test('keeps one hundred simultaneous announcements and the longest time needed', () =>
    withStores(async (store, other) => {
      const until = Array.from({ length: 100 }, (_, at) => NOW + ((at * 37) % 100))
      await Promise.all(
        until.map((time, at) =>
          (at % 2 ? store : other).announce(announcement({ id: `${at}` }), needs(['first', time])),
        ),
      )
      expect(await store.running(NOW)).toHaveLength(100)
      expect(await store.neededUntil()).toEqual(needs(['first', NOW + 99]))
    }))

  test('sweeps expired announcements and keeps live ones', () =>
    withStores(async (store, other) => {
      const lasting = announcement({ id: 'b/1', expires: NOW + 1_001 })
      await store.announce(announcement(), NOTHING)
      await store.announce(lasting, NOTHING)
      await other.sweep(NOW + 1_000)
      expect(await store.running(NOW)).toEqual([lasting])
    }))

  test('forgets a key one hour after it was last needed', () =>
    withStores(async (store, other) => {
      await store.leave('a/1', needs(['first', NOW], ['second', NOW + 1]))
      await other.sweep(NOW + RETENTION_MS - 1)
      expect(await store.neededUntil()).toEqual(needs(['first', NOW], ['second', NOW + 1]))
      await other.sweep(NOW + RETENTION_MS)
      expect(await store.neededUntil()).toEqual(needs(['second', NOW + 1]))
    }))

  test('keeps a key that a running process announces', () =>
    withStores(async (store, other) => {
      const expires = NOW + RETENTION_MS + 1_000
      await store.announce(announcement({ expires }), needs(['first', NOW], ['second', NOW], ['third', NOW]))
      await other.sweep(expires - 1)
      expect(await store.neededUntil()).toEqual(needs(['first', NOW], ['second', NOW]))
      await other.sweep(expires)
      expect(await store.neededUntil()).toEqual(NOTHING)
    }))
})

describe('SQLite', () => {
  test('migrates a file of the previous version and keeps its data', async () => {
    const file = join(folder, 'before.db')
    const revocations = await openStore('revocations', `sqlite:${file}`)
    const revocation = { subject: 'token a', issuedUntil: NOW, expires: NOW + 1 }
    await revocations.add(revocation, NOW)
    await revocations.close()
    const database = new DatabaseSync(file)
    database.exec(`DROP TABLE replicas; DROP TABLE signing_keys; DROP TABLE anonymous_tokens;
      DROP TRIGGER count_anonymous_token; DROP TRIGGER forget_anonymous_token; DROP TABLE credentials;
      DROP INDEX failures_blocks; ALTER TABLE failures DROP COLUMN is_block; PRAGMA user_version = 3`)
    database.close()

    const store = await open(`sqlite:${file}`)
    await store.announce(announcement(), NOTHING)
    expect(await store.running(NOW)).toEqual([announcement()])
    await store.close()
    const again = await openStore('revocations', `sqlite:${file}`)
    expect(await again.since(undefined)).toMatchObject({ revocations: [revocation] })
    await again.close()
  })

  test('waits for another process to release its lock without blocking the event loop', async () => {
    const file = join(folder, 'locked.db')
    const store = await open(`sqlite:${file}`)
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    const announcing = store.announce(announcement(), NOTHING)
    const asked = performance.now()
    await sleep(100)
    expect(performance.now() - asked, 'the wait does not happen inside SQLite').toBeLessThan(5_000)
    expect(await store.running(NOW)).toEqual([])
    other.exec('COMMIT')
    other.close()
    await announcing
    expect(await store.running(NOW)).toEqual([announcement()])
    await store.close()
  })

  test('keeps the time for which a key is needed across a restart', async () => {
    const name = `sqlite:${join(folder, 'restart.db')}`
    const store = await open(name)
    await store.announce(announcement(), needs(['first', NOW]))
    await store.close()
    const again = await open(name)
    expect(await again.neededUntil()).toEqual(needs(['first', NOW]))
    await again.close()
  })
})

describe.skipIf(!hasProgram('redis-server'))('Redis', () => {
  test('stores everything in two keys, beside the reserve', async () => {
    await using redis = await startRedis()
    const store = await open(redis.url)
    await store.announce(announcement(), needs(['first', NOW]))
    const client = createRedisClient({ url: redis.url }, () => undefined)
    await client.connect()
    expect((await client.keys('*')).toSorted()).toEqual(['trimint:replicas', 'trimint:reserve', 'trimint:signing-keys'])
    client.destroy()
    await store.close()
  })
})

describe.skipIf(!hasProgram('redis-server'))('an unavailable Redis', () => {
  test('rejects calls at once', async () => {
    const redis = await startRedis()
    const store = await open(redis.url)
    await redis.stop()
    await expect(store.announce(announcement(), needs(['first', NOW]))).rejects.toThrow()
    await expect(store.leave('a/1', NOTHING)).rejects.toThrow()
    await expect(store.running(NOW)).rejects.toThrow()
    await expect(store.neededUntil()).rejects.toThrow()
    await expect(store.sweep(NOW)).rejects.toThrow()
    await store.close()
  })
})
