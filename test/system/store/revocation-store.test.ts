import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import {
  REVOCATIONS_PER_PAGE,
  type Revocation,
  type RevocationStore,
} from '../../../src/core/ports/revocation-store.ts'
import type { StoreOptions } from '../../../src/store/open-stores.ts'
import { createRedisClient, type RedisClient } from '../../../src/store/redis/client.ts'
import { type DurableRedis, startDurableRedis } from '../../support/durable-redis.ts'
import { hasPostgres, startPostgres } from '../../support/postgres.ts'
import { hasProgram } from '../../support/programs.ts'
import { startRedis } from '../../support/redis.ts'
import { shareRedisNodes } from '../../support/redis-nodes.ts'
import { createStoreFolder, fewAtATime, openStore, shareFile, shareStores } from '../../support/stores.ts'
import { expectWithin } from '../../support/time.ts'

const NOW = Date.UTC(2026, 0, 1)
const LIFETIME = 600_000
const EXPIRY = NOW + LIFETIME

const folder = createStoreFolder('revocations')
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const newFile = () => join(folder, `${made++}.db`)

const createRevocation = (changes: Partial<Revocation> = {}): Revocation => ({
  subject: `token ${made++}`,
  issuedUntil: NOW,
  expires: EXPIRY,
  ...changes,
})

const createMany = (count: number, changes: Partial<Revocation> = {}): Revocation[] =>
  Array.from({ length: count }, () => createRevocation(changes))

const addAll = (store: RevocationStore, revocations: readonly Revocation[]) =>
  fewAtATime.map(revocations, (revocation) => store.add(revocation, NOW))

/** Creates a reader that starts at the beginning and continues from its cursor. */
function follow(store: RevocationStore) {
  let cursor: string | undefined
  const pages: number[] = []
  /** Returns the revocations added since the previous call. */
  async function read(): Promise<Revocation[]> {
    const seen: Revocation[] = []
    for (;;) {
      const { revocations, cursor: next, complete } = await store.since(cursor)
      seen.push(...revocations)
      pages.push(revocations.length)
      cursor = next
      if (complete) return seen
      if (pages.length > 1_000) throw new Error('reading does not end')
    }
  }
  return { read, pages }
}

const inOrder = (revocations: readonly Revocation[]): Revocation[] =>
  revocations.toSorted(
    (a, b) =>
      (a.subject < b.subject ? -1 : Number(a.subject > b.subject)) ||
      a.issuedUntil - b.issuedUntil ||
      a.expires - b.expires,
  )

/** Combines several revocations of one subject into one with the latest times. */
function latestOf(revocations: readonly Revocation[]): Revocation | undefined {
  const [first] = revocations
  const latest = (time: 'issuedUntil' | 'expires') => Math.max(...revocations.map((revocation) => revocation[time]))
  return first && { subject: first.subject, issuedUntil: latest('issuedUntil'), expires: latest('expires') }
}

/** Expects exactly these revocations, in any order. */
function expectSame(actual: readonly Revocation[], expected: readonly Revocation[]): void {
  expect(inOrder(actual)).toStrictEqual(inOrder(expected))
}

const open = (name: string, options?: StoreOptions): Promise<RevocationStore> => openStore('revocations', name, options)

/**
 * Two stores on the same data, as two processes would have. A store in memory cannot be shared: both are the same
 * one.
 */
interface Kind {
  readonly kind: string
  openTwo(): Promise<[RevocationStore, RevocationStore]>
  empty(): Promise<void>
  /** The stores stay open for the next test. */
  readonly isShared?: boolean
}

const file = shareFile('revocations', newFile)
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
  afterAll(() => redis.stop())
  kinds.push({
    kind: 'redis',
    openTwo: () => Promise.all([open(redis.url), open(redis.url)]),
    empty: () => redis.flush(),
  })
  for (const nodes of shareRedisNodes()) {
    const stores = shareStores('revocations', nodes.url, nodes.flush)
    afterAll(() => stores.close())
    afterAll(nodes.stop)
    kinds.push({ kind: nodes.kind, openTwo: stores.openTwo, empty: stores.empty, isShared: true })
  }
}
if (hasPostgres()) {
  const postgres = await startPostgres()
  afterAll(() => postgres.stop())
  const database = await postgres.createDatabase()
  const stores = shareStores('revocations', () => database, postgres.empty)
  afterAll(() => stores.close())
  kinds.push({ kind: 'postgres', openTwo: stores.openTwo, empty: stores.empty, isShared: true })
}

describe.each(kinds)('$kind', ({ openTwo, empty, isShared }) => {
  async function withStores(use: (...stores: [RevocationStore, RevocationStore]) => Promise<void>): Promise<void> {
    const stores = await openTwo()
    try {
      await use(...stores)
    } finally {
      await empty()
      if (!isShared) await Promise.all(stores.map((store) => store.close()))
    }
  }

  test('returns no revocations from an empty store, and later ones from the cursor it gave', () =>
    withStores(async (store, other) => {
      const reader = follow(store)
      expect(await reader.read()).toEqual([])
      expect(await reader.read()).toEqual([])
      const revocation = createRevocation()
      await other.add(revocation, NOW)
      expect(await reader.read()).toStrictEqual([revocation])
      expect(await reader.read()).toEqual([])
    }))

  test('returns every revocation once to each reader, whichever process added it', () =>
    withStores(async (store, other) => {
      const [first, second, third] = [createMany(5), createMany(7), createMany(3)]
      const early = follow(store)
      await addAll(store, first)
      expectSame(await early.read(), first)
      const late = follow(other)
      await addAll(other, second)
      expectSame(await early.read(), second)
      expectSame(await late.read(), [...first, ...second])
      await addAll(store, third)
      expectSame(await early.read(), third)
      expectSame(await late.read(), third)
      expectSame(await follow(store).read(), [...first, ...second, ...third])
    }))

  test('returns a revocation as soon as it has been added', () =>
    withStores(async (store, other) => {
      const readers = [follow(store), follow(other)]
      for (let round = 0; round < 20; round++) {
        const revocation = createRevocation()
        await (round % 2 ? store : other).add(revocation, NOW)
        for (const { read } of readers) expect(await read()).toStrictEqual([revocation])
      }
    }))

  test('returns more than one page of revocations in pages', () =>
    withStores(async (store, other) => {
      const revocations = createMany(2 * REVOCATIONS_PER_PAGE + 1)
      await addAll(store, revocations)
      const reader = follow(other)
      expectSame(await reader.read(), revocations)
      expect(Math.max(...reader.pages)).toBe(REVOCATIONS_PER_PAGE)
      expect((await other.since(undefined)).complete).toBe(false)
    }))

  test('returns an empty page after one that was exactly full', () =>
    withStores(async (store) => {
      const revocations = createMany(REVOCATIONS_PER_PAGE)
      await addAll(store, revocations)
      const reader = follow(store)
      expectSame(await reader.read(), revocations)
      expect(await reader.read()).toEqual([])
      const later = createRevocation()
      await store.add(later, NOW)
      expect(await reader.read()).toStrictEqual([later])
    }))

  test('omits no revocation while others are being added', { timeout: 60_000 }, () =>
    withStores(async (store, other) => {
      const revocations = createMany(1_500)
      const reader = follow(other)
      const seen: Revocation[] = []
      let isAdding = true
      const reading = (async () => {
        while (isAdding) {
          seen.push(...(await reader.read()))
          await sleep(1)
        }
      })()
      for (let at = 0; at < revocations.length; at += 50) {
        const some = revocations.slice(at, at + 50)
        await Promise.all(some.map((revocation, index) => (index % 2 ? store : other).add(revocation, NOW)))
        await sleep(1)
      }
      isAdding = false
      await reading
      expect(seen.length, 'read some while others were being added').toBeGreaterThan(0)
      seen.push(...(await reader.read()))
      // A page may repeat revocations.
      expectSame([...new Map(seen.map((revocation) => [revocation.subject, revocation])).values()], revocations)
    }),
  )

  test('returns a subject again once it has been revoked again, with the latest times', () =>
    withStores(async (store, other) => {
      const subject = 'account psc'
      const first = createRevocation({ subject })
      const second = createRevocation({ subject, issuedUntil: NOW + 5_000, expires: EXPIRY + 5_000 })
      const earlier = createRevocation({ subject, issuedUntil: NOW - 5_000, expires: EXPIRY - 5_000 })
      const reader = follow(other)
      await store.add(first, NOW)
      expectSame(await reader.read(), [first])
      await addAll(store, [second, earlier, first])
      expect(latestOf(await reader.read())).toStrictEqual(second)
      expect(latestOf(await follow(store).read())).toStrictEqual(second)
      await store.add(earlier, NOW)
      expect((await reader.read()).length).toBeGreaterThan(0)
      expect(latestOf(await follow(store).read())).toStrictEqual(second)
    }))

  test('returns any subject unchanged', () =>
    withStores(async (store, other) => {
      const odd = [
        '',
        ' ',
        ' a ',
        'a',
        'A',
        'a\0b',
        '"\'`;--',
        '\\ \n\r\t',
        'ü',
        'u\u0308',
        'ñ 漢字 😀 \u202e',
        '__proto__',
        'null',
        '%00$subject?1:*',
        '{"subject":"x"}',
        'x'.repeat(2_000),
      ]
      const revocations = [
        ...['token', 'app', 'account', 'user'].flatMap((kind) =>
          odd.map((text) => createRevocation({ subject: `${kind} ${text}` })),
        ),
        createRevocation({ issuedUntil: 0, expires: 8_640_000_000_000_000 }),
        createRevocation({ issuedUntil: NOW + 1, expires: NOW + 2 }),
      ]
      await addAll(store, revocations)
      expectSame(await follow(other).read(), revocations)
    }))

  describe('sweeping', () => {
    test('deletes expired revocations alone', () =>
      withStores(async (store, other) => {
        const ended = [createRevocation({ expires: EXPIRY - 1 }), createRevocation({ expires: EXPIRY })]
        const running = [createRevocation({ expires: EXPIRY + 1 }), createRevocation({ expires: EXPIRY + LIFETIME })]
        await addAll(store, [...running, ...ended])
        await other.sweep(EXPIRY - 2)
        expectSame(await follow(store).read(), [...running, ...ended])
        await other.sweep(EXPIRY)
        expectSame(await follow(store).read(), running)
      }))

    test('deletes thousands of expired revocations in one call', () =>
      withStores(async (store, other) => {
        const running = createMany(20, { expires: EXPIRY + LIFETIME })
        await addAll(store, [...createMany(1_200), ...running, ...createMany(1_300)])
        await other.sweep(EXPIRY)
        expectSame(await follow(store).read(), running)
      }))

    test('keeps a subject that was revoked again with a later expiry', () =>
      withStores(async (store) => {
        const subject = 'app a'
        const again = createRevocation({ subject, issuedUntil: NOW + 1, expires: EXPIRY + 1 })
        await addAll(store, [createRevocation({ subject }), again])
        await store.sweep(EXPIRY)
        expectSame(await follow(store).read(), [again])
      }))

    test('keeps the cursors of readers valid, even when nothing is left', () =>
      withStores(async (store, other) => {
        const reader = follow(store)
        const idle = follow(other)
        for (let round = 0; round < 3; round++) {
          const some = createMany(4)
          await addAll(other, some)
          expectSame(await reader.read(), some)
          if (round === 0) expectSame(await idle.read(), some)
          await other.sweep(EXPIRY)
          expect(await reader.read()).toEqual([])
          expect(await follow(store).read()).toEqual([])
        }
        const last = createRevocation()
        await store.add(last, NOW)
        expect(await reader.read()).toStrictEqual([last])
        // The revocations in between have expired and are gone.
        expect(await idle.read()).toStrictEqual([last])
      }))

    test('omits no live revocation from a reader that is between two pages', () =>
      withStores(async (store, other) => {
        const running = createMany(REVOCATIONS_PER_PAGE + 100, { expires: EXPIRY + LIFETIME })
        const mixed = running.flatMap((revocation) => [createRevocation(), revocation])
        // Added one by one, so that each page has expired and live ones.
        for (const revocation of mixed) await store.add(revocation, NOW)
        const first = await other.since(undefined)
        expect(first.complete).toBe(false)
        await store.sweep(EXPIRY)
        const seen = [...first.revocations]
        let { cursor } = first
        for (let complete = false; !complete; ) {
          const page = await other.since(cursor)
          seen.push(...page.revocations)
          cursor = page.cursor
          complete = page.complete
        }
        expectSame(
          seen.filter(({ expires }) => expires > EXPIRY),
          running,
        )
      }))
  })

  test('rejects every call once closed, and can be closed again', () =>
    withStores(async (store) => {
      const revocation = createRevocation()
      const adding = store.add(revocation, NOW)
      await store.close()
      await adding
      await expect(store.add(createRevocation(), NOW)).rejects.toThrow()
      await expect(store.since(undefined)).rejects.toThrow()
      await store.close()
    }))
})

describe('SQLite', () => {
  test('keeps acknowledged revocations and cursors when the file is opened again', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    const revocations = createMany(3)
    await addAll(store, revocations)
    const { cursor } = await store.since(undefined)
    await store.close()
    const again = await open(`sqlite:${file}`)
    expectSame(await follow(again).read(), revocations)
    expect(await again.since(cursor)).toEqual({ revocations: [], cursor, complete: true })
    await again.close()
  })

  test('accepts old cursors after a sweep emptied the file and it was opened again', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    await addAll(store, createMany(5))
    const { cursor } = await store.since(undefined)
    await store.sweep(EXPIRY)
    await store.close()
    const again = await open(`sqlite:${file}`)
    const later = createRevocation()
    await again.add(later, NOW)
    expect((await again.since(cursor)).revocations).toStrictEqual([later])
    await again.close()
  })

  test('sweeps without the write lock when nothing has expired', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`, { timeoutMs: 50 })
    await store.add(createRevocation(), NOW)
    using other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    await store.sweep(EXPIRY - 1)
    await expect(store.sweep(EXPIRY)).rejects.toThrow('the store did not answer within 50 ms')
    other.exec('COMMIT')
    await store.close()
  })

  test('answers reads while another process has the lock, rejects writes in time, and writes after the release', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`, { timeoutMs: 50 })
    const [before, refused] = [createRevocation(), createRevocation()]
    await store.add(before, NOW)
    using other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    const adding = expect(store.add(refused, NOW)).rejects.toThrow('the store did not answer within 50 ms')
    expect(await follow(store).read()).toStrictEqual([before])
    await adding
    other.exec('COMMIT')
    await store.add(refused, NOW)
    expectSame(await follow(store).read(), [before, refused])
    await store.close()
  })

  test('keeps one row for each subject, however often it is revoked', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    using spy = new DatabaseSync(file)
    for (let at = 0; at < 5; at++)
      await store.add(createRevocation({ subject: 'token same', issuedUntil: NOW + at }), NOW)
    await store.add(createRevocation({ subject: 'token other' }), NOW)
    expect(spy.prepare('SELECT number, subject, issued_until FROM revocations ORDER BY number').all()).toEqual([
      { number: 5, subject: 'token same', issued_until: NOW + 4 },
      { number: 6, subject: 'token other', issued_until: NOW },
    ])
    await store.close()
  })
})

describe.skipIf(!hasProgram('redis-server'))('Redis', () => {
  async function withRedis(use: (store: RevocationStore, redis: DurableRedis, client: RedisClient) => Promise<void>) {
    await using redis = await startDurableRedis()
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

  const isBack = (store: RevocationStore) =>
    expect.poll(() => store.since(undefined).then(() => 'back', String)).toBe('back')

  test.each([3, 10, 25])('returns the next %d revocations to existing readers after Redis lost all ten', (later) =>
    withRedis(async (store, _, client) => {
      const reader = follow(store)
      await addAll(store, createMany(10))
      await reader.read()
      await client.flushAll()
      expect(await reader.read()).toEqual([])
      // The ids of revocations begin with the millisecond.
      await sleep(2)
      const revocations = createMany(later)
      await addAll(store, revocations)
      expectSame(await reader.read(), revocations)
    }),
  )

  test(
    'returns later revocations to existing readers after Redis lost its data and its clock went back',
    { timeout: 30_000 },
    () =>
      withRedis(async (store, redis, client) => {
        const reader = follow(store)
        // An entry from a server whose clock was a day ahead.
        await addAll(store, createMany(1))
        const keys = await client.keys('*')
        const stream = (await Promise.all(keys.map((key) => client.type(key)))).indexOf('stream')
        if (stream >= 0) {
          const ahead = `${Date.now() + 86_400_000}-0`
          await client.xAdd(keys[stream] ?? '', ahead, {
            subject: 'token ahead',
            issuedUntil: '1',
            expires: `${EXPIRY}`,
          })
        }
        await reader.read()
        await client.flushAll()
        await redis.kill()
        await redis.start()
        await isBack(store)
        const revocations = createMany(3)
        await addAll(store, revocations)
        expectSame(await reader.read(), revocations)
      }),
  )

  test('keeps every acknowledged revocation when Redis is killed and restarted', () =>
    withRedis(async (store, redis) => {
      const reader = follow(store)
      const before = createMany(5)
      await addAll(store, before)
      expectSame(await reader.read(), before)
      const unread = createMany(2)
      await addAll(store, unread)
      await redis.kill()
      await expectWithin(
        1_000,
        Promise.all([
          expect(store.add(createRevocation(), NOW)).rejects.toThrow(),
          expect(store.since(undefined)).rejects.toThrow(),
        ]),
      )
      await redis.start()
      await isBack(store)
      const after = createMany(2)
      await addAll(store, after)
      // After a reconnection the reader may return some again.
      const seen = new Map((await reader.read()).map((revocation) => [revocation.subject, revocation]))
      for (const revocation of [...unread, ...after]) expect(seen.get(revocation.subject)).toStrictEqual(revocation)
      expect(await reader.read()).toEqual([])
      expectSame(await follow(store).read(), [...before, ...unread, ...after])
    }))

  test('rejects calls within a second while Redis hangs, and recovers when it continues', () =>
    withRedis(async (store, redis) => {
      const before = createRevocation()
      await store.add(before, NOW)
      redis.freeze()
      await expectWithin(
        1_000,
        Promise.all([
          expect(store.since(undefined)).rejects.toThrow('has not answered within 800 ms'),
          expect(store.sweep(NOW)).rejects.toThrow('has not answered within 800 ms'),
        ]),
      )
      redis.thaw()
      await isBack(store)
      expect(await follow(store).read()).toStrictEqual([before])
    }))

  test('loads its scripts again when the server has lost them, and adds once', () =>
    withRedis(async (store, _, client) => {
      const revocations = createMany(3)
      for (const revocation of revocations) {
        await client.scriptFlush()
        await store.add(revocation, NOW)
      }
      expectSame(await follow(store).read(), revocations)
    }))

  test('has one entry for a subject, however often it is revoked, and none once it is swept', () =>
    withRedis(async (store, _, client) => {
      const other = createRevocation({ expires: EXPIRY + LIFETIME })
      await store.add(other, NOW)
      const reader = follow(store)
      await reader.read()
      const latest = { subject: 'token same', issuedUntil: NOW + 4, expires: EXPIRY + 4 }
      for (const by of [0, 4, 1]) {
        await store.add({ ...latest, issuedUntil: NOW + by, expires: EXPIRY + by }, NOW)
        if (by === 0) expect(await reader.read()).toHaveLength(1)
      }
      expect(await reader.read()).toStrictEqual([latest])
      expect(await follow(store).read()).toStrictEqual([other, latest])
      const count = () =>
        Promise.all([
          client.xLen('trimint:revocations'),
          client.zCard('trimint:revocations-by-end'),
          client.hLen('trimint:revocations-by-subject'),
        ])
      expect(await count()).toEqual([2, 2, 2])
      await store.sweep(EXPIRY + 3)
      expect(await count()).toEqual([2, 2, 2])
      await store.sweep(EXPIRY + 4)
      expect(await count()).toEqual([1, 1, 1])
    }))

  test('sweeps an entry that a process of the previous version has not indexed by subject', () =>
    withRedis(async (store, _, client) => {
      const revocation = createRevocation()
      const id = await client.xAdd('trimint:revocations', '*', {
        subject: revocation.subject,
        issuedUntil: `${NOW}`,
        expires: `${EXPIRY}`,
      })
      await client.zAdd('trimint:revocations-by-end', { value: id ?? '', score: EXPIRY })
      await store.add(revocation, NOW)
      await store.sweep(EXPIRY)
      expect(await follow(store).read()).toEqual([])
      expect(await client.hLen('trimint:revocations-by-subject')).toBe(0)
    }))

  test('three keys hold everything', () =>
    withRedis(async (store, _, client) => {
      await addAll(store, createMany(3))
      expect((await client.keys('*')).toSorted()).toEqual([
        'trimint:revocations',
        'trimint:revocations-by-end',
        'trimint:revocations-by-subject',
      ])
    }))

  test('uses constant memory however many revocations have been swept', () =>
    withRedis(async (store, _, client) => {
      const sizes: number[] = []
      for (let round = 0; round < 3; round++) {
        await addAll(store, createMany(500))
        await store.sweep(EXPIRY)
        const keys = await client.keys('*')
        const bytes = await Promise.all(keys.map((key) => client.memoryUsage(key)))
        sizes.push(bytes.reduce<number>((sum, size) => sum + (size ?? 0), 0))
      }
      expect(Math.max(...sizes)).toBeLessThan(2_000)
    }))
})
