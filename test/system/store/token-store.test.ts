import { execFileSync } from 'node:child_process'
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as endOfTurn } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import type { TokenRecord, TokenStore } from '../../../src/core/ports/token-store.ts'
import type { StoreOptions } from '../../../src/store/open-stores.ts'
import { createRedisClient, type RedisClient } from '../../../src/store/redis/client.ts'
import { hasPostgres, startPostgres } from '../../support/postgres.ts'
import { hasProgram } from '../../support/programs.ts'
import { createRecord, LIFETIME_MS, NOW } from '../../support/records.ts'
import { type StartedRedis, startRedis } from '../../support/redis.ts'
import { shareRedisNodes } from '../../support/redis-nodes.ts'
import { createStoreFolder, fewAtATime, openStore } from '../../support/stores.ts'
import { expectWithin } from '../../support/time.ts'

const EXPIRY = NOW + LIFETIME_MS
const FORGOTTEN = EXPIRY + RETENTION_MS

/** Milliseconds to wait for the lock of another process. */
const SHORT_TIMEOUT_MS = 50

const folder = createStoreFolder('tokens')
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const open = (store: string, options?: StoreOptions) => openStore('tokens', store, options)
const newFile = () => join(folder, `${made++}.db`)

/** A separate store for each test. Its name can be opened more than once, as several processes would. */
interface Kind {
  readonly kind: string
  create(): Promise<{ readonly name: string; remove(): Promise<void> }>
}

const kinds: Kind[] = [
  { kind: 'sqlite', create: async () => ({ name: `sqlite:${newFile()}`, remove: async () => undefined }) },
]
if (hasProgram('redis-server')) {
  const redis = await startRedis()
  afterAll(() => redis.stop())
  kinds.push({ kind: 'redis', create: async () => ({ name: redis.url, remove: () => redis.flush() }) })
  for (const { kind, url, flush, stop } of shareRedisNodes()) {
    afterAll(stop)
    kinds.push({ kind, create: async () => ({ name: await url(), remove: flush }) })
  }
}
if (hasPostgres()) {
  const postgres = await startPostgres()
  afterAll(() => postgres.stop())
  kinds.push({
    kind: 'postgres',
    create: async () => ({ name: await postgres.createDatabase(), remove: async () => undefined }),
  })
}

describe.each(kinds)('$kind', ({ create }) => {
  let opened: Promise<[TokenStore, TokenStore]> | undefined
  const cleanups: (() => Promise<void>)[] = []
  afterAll(async () => {
    for (const cleanUp of cleanups) await cleanUp()
  })

  async function openTwo(): Promise<[TokenStore, TokenStore]> {
    const { name, remove } = await create()
    const stores: [TokenStore, TokenStore] = [await open(name), await open(name)]
    cleanups.push(remove, ...stores.map((store) => () => store.close()))
    return stores
  }

  /**
   * Passes two stores on the same file or server, as two processes have them. All tests use the same two, each with
   * other records.
   */
  async function withStores(use: (...stores: [TokenStore, TokenStore]) => Promise<void>): Promise<void> {
    opened ??= openTwo()
    await use(...(await opened))
  }

  describe('a limit on records without a client', () => {
    const anonymous = (uafRequest = '[]') => createRecord({ client: undefined, uafRequest })
    const NO_LIMIT = { maxRecords: 1_000_000, maxBytes: 1_000_000_000 }

    async function findCount(store: TokenStore): Promise<number> {
      for (let maxRecords = 0; ; maxRecords++) {
        if (await store.create(anonymous(), { ...NO_LIMIT, maxRecords })) return maxRecords
      }
    }

    test('rejects records beyond it, exactly, however many two processes create at once', async () => {
      const { name, remove } = await create()
      const stores = [await open(name), await open(name)] as const
      const limit = { ...NO_LIMIT, maxRecords: 100 }
      const results = await Promise.all(
        Array.from({ length: 300 }, (_, at) => (stores[at % 2] as TokenStore).create(anonymous(), limit)),
      )
      expect(results.filter(Boolean)).toHaveLength(100)
      expect(await stores[0].create(createRecord()), 'a record with a client').toBe(true)
      expect(await findCount(stores[1]), 'records with a client do not count').toBe(101)
      for (const store of stores) await store.close()
      await remove()
    })

    test('counts the bytes of the records', async () => {
      const { name, remove } = await create()
      const store = await open(name)
      const limit = { ...NO_LIMIT, maxBytes: 99_000 }
      const results: boolean[] = []
      for (let at = 0; at < 12; at++) results.push(await store.create(anonymous('ä'.repeat(5_000)), limit))
      expect(results.filter(Boolean).length).toBeGreaterThanOrEqual(9)
      expect(results.at(-1)).toBe(false)
      expect(await store.create(anonymous(), limit), 'a small one still fits').toBe(true)
      await store.close()
      await remove()
    })
  })

  describe('a record', () => {
    const odd = [
      '',
      ' ',
      '"\'`;--',
      '\\ \n\r\t',
      'a\0b',
      'ü ñ 漢字 😀 \u202e',
      'line \u2028 and paragraph \u2029 separators',
      '__proto__',
      'null',
      '0',
      '%00$now?1:x',
      'operation',
    ]
    const records: [string, Partial<TokenRecord>][] = [
      ['of every operation: registration', { operation: 'registration' }],
      ['of every operation: authentication', { operation: 'authentication' }],
      ['of every operation: deregistration', { operation: 'deregistration' }],
      ['without a user', { username: undefined }],
      ['with a revocation', { knownRevocation: NOW - 1 }],
      ['of an earlier version', { knownRevocation: undefined }],
      ['without a client', { client: undefined }],
      ['with a long request', { uafRequest: 'x'.repeat(200_000) }],
      ['with the largest times', { createdAt: NOW + 1, expiresAt: 8_640_000_000_000_000, responseLifetime: 2 ** 40 }],
      ...odd.map((text): [string, Partial<TokenRecord>] => [
        `with ${JSON.stringify(text)} in it`,
        { username: text, client: text, uafRequest: text },
      ]),
    ]

    test.each(records)('returns a record %s unchanged', (_, changes) =>
      withStores(async (store, other) => {
        const record = createRecord(changes)
        await store.create(record)
        expect(await other.findByToken(record.tokenDigest, NOW)).toStrictEqual(record)
        expect(await other.findBySession(record.sessionDigest, NOW)).toStrictEqual(record)
        expect(await other.redeem(record.tokenDigest, record.operation, NOW)).toStrictEqual({
          outcome: 'redeemed',
          removed: [],
          record: { ...record, redeemedAt: NOW },
        })
      }),
    )

    test('finds a record by its own digests alone', () =>
      withStores(async (store) => {
        const [first, second] = [createRecord(), createRecord()]
        await Promise.all([store.create(first), store.create(second)])
        expect(await store.findByToken(first.tokenDigest, NOW)).toStrictEqual(first)
        expect(await store.findBySession(second.sessionDigest, NOW)).toStrictEqual(second)
        expect(await store.findByToken(first.sessionDigest, NOW)).toBeUndefined()
        expect(await store.findBySession(first.tokenDigest, NOW)).toBeUndefined()
      }))

    test('rejects a second record with the same digest and keeps the first', () =>
      withStores(async (store, other) => {
        const record = createRecord()
        await store.create(record)
        await store.redeem(record.tokenDigest, 'registration', NOW)
        await expect(other.create({ ...record, username: 'anna' })).rejects.toThrow(/digest/)
        expect(await other.findByToken(record.tokenDigest, NOW)).toStrictEqual({ ...record, redeemedAt: NOW })
      }))

    test('finds a record until one hour after its expiry', () =>
      withStores(async (store) => {
        const record = createRecord()
        await store.create(record)
        expect(await store.findByToken(record.tokenDigest, FORGOTTEN - 1)).toStrictEqual(record)
        expect(await store.findBySession(record.sessionDigest, FORGOTTEN - 1)).toStrictEqual(record)
        expect(await store.findByToken(record.tokenDigest, FORGOTTEN)).toBeUndefined()
        expect(await store.findBySession(record.sessionDigest, FORGOTTEN)).toBeUndefined()
      }))
  })

  describe('redeeming', () => {
    type Step = (store: TokenStore, digest: string) => Promise<unknown>
    const nothing: Step = async () => undefined
    const redeemed: Step = (store, digest) => store.redeem(digest, 'registration', NOW)
    const revoked: Step = (store, digest) => store.revoke(digest, NOW)
    const both: Step = async (store, digest) => {
      await redeemed(store, digest)
      await revoked(store, digest)
    }
    // The outcomes at the token's operation (registration) and at another one.
    const cases: [string, Step, number, string, string][] = [
      ['fresh', nothing, NOW, 'redeemed', 'misdirected'],
      ['created five seconds from now', nothing, NOW - 5_000, 'redeemed', 'misdirected'],
      ['created later than that', nothing, NOW - 5_001, 'premature', 'premature'],
      ['redeemed and created later than that', redeemed, NOW - 5_001, 'spent', 'spent'],
      ['at its last millisecond', nothing, EXPIRY - 1, 'redeemed', 'misdirected'],
      ['expired', nothing, EXPIRY, 'expired', 'expired'],
      ['expired almost an hour ago', nothing, FORGOTTEN - 1, 'expired', 'expired'],
      ['expired an hour ago', nothing, FORGOTTEN, 'unknown', 'unknown'],
      ['redeemed', redeemed, NOW, 'spent', 'spent'],
      ['redeemed and expired', redeemed, EXPIRY, 'spent', 'spent'],
      ['redeemed and expired almost an hour ago', redeemed, FORGOTTEN - 1, 'spent', 'spent'],
      ['redeemed and expired an hour ago', redeemed, FORGOTTEN, 'unknown', 'unknown'],
      ['revoked', revoked, NOW, 'spent', 'spent'],
      ['revoked and expired', revoked, EXPIRY, 'spent', 'spent'],
      ['revoked and expired almost an hour ago', revoked, FORGOTTEN - 1, 'spent', 'spent'],
      ['revoked and expired an hour ago', revoked, FORGOTTEN, 'unknown', 'unknown'],
      ['redeemed and revoked', both, NOW, 'spent', 'spent'],
    ]

    test.each(cases)('returns the outcome of redeeming a token that is %s', (_, prepare, now, atItsOwn, elsewhere) =>
      withStores(async (store, other) => {
        const record = createRecord()
        await store.create(record)
        await prepare(store, record.tokenDigest)
        expect((await other.redeem(record.tokenDigest, 'authentication', now)).outcome).toBe(elsewhere)
        expect((await other.redeem(record.tokenDigest, 'registration', now)).outcome).toBe(atItsOwn)
      }),
    )

    test('returns unknown for a token that never existed and for a session digest', () =>
      withStores(async (store) => {
        const record = createRecord()
        await store.create(record)
        expect(await store.redeem('never-issued', 'registration', NOW)).toStrictEqual({ outcome: 'unknown' })
        expect(await store.redeem(record.sessionDigest, 'registration', NOW)).toStrictEqual({ outcome: 'unknown' })
      }))

    test('returns the record once and stores the time of redemption', () =>
      withStores(async (store, other) => {
        const record = createRecord()
        await store.create(record)
        const spent = { ...record, redeemedAt: NOW + 7 }
        expect(await store.redeem(record.tokenDigest, 'registration', NOW + 7)).toStrictEqual({
          outcome: 'redeemed',
          removed: [],
          record: spent,
        })
        expect(await other.redeem(record.tokenDigest, 'registration', NOW + 8)).toStrictEqual({ outcome: 'spent' })
        expect(await other.findBySession(record.sessionDigest, NOW + 9)).toStrictEqual(spent)
      }))

    test('leaves a token redeemable after an attempt at another operation', () =>
      withStores(async (store, other) => {
        const record = createRecord()
        await store.create(record)
        expect(await store.redeem(record.tokenDigest, 'deregistration', NOW)).toStrictEqual({ outcome: 'misdirected' })
        expect(await other.findByToken(record.tokenDigest, NOW)).toStrictEqual(record)
        expect((await other.redeem(record.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
      }))

    test('redeems a token once in two hundred simultaneous attempts through both stores', () =>
      withStores(async (store, other) => {
        for (let round = 0; round < 5; round++) {
          const record = createRecord()
          await store.create(record)
          const redemptions = await Promise.all(
            Array.from({ length: 200 }, (_, at) =>
              (at % 2 ? store : other).redeem(record.tokenDigest, 'registration', NOW),
            ),
          )
          const outcomes = redemptions.map(({ outcome }) => outcome)
          expect(outcomes.filter((outcome) => outcome === 'redeemed')).toHaveLength(1)
          expect(outcomes.filter((outcome) => outcome === 'spent')).toHaveLength(199)
        }
      }))

    test('returns each of many simultaneous redemptions its own record', () =>
      withStores(async (store, other) => {
        const records = Array.from({ length: 600 }, () => createRecord())
        await Promise.all(records.map((record, at) => (at % 2 ? store : other).create(record)))
        const redemptions = await Promise.all(
          records.map((record, at) => (at % 3 ? store : other).redeem(record.tokenDigest, 'registration', NOW)),
        )
        expect(redemptions).toStrictEqual(
          records.map((record) => ({ outcome: 'redeemed', record: { ...record, redeemedAt: NOW }, removed: [] })),
        )
      }))
  })

  describe('revoking', () => {
    test('revokes a token once and stores the time of revocation', () =>
      withStores(async (store, other) => {
        const record = createRecord()
        await store.create(record)
        expect(await store.revoke(record.tokenDigest, NOW + 1)).toBe(true)
        expect(await other.revoke(record.tokenDigest, NOW + 2)).toBe(false)
        expect(await other.findByToken(record.tokenDigest, NOW)).toStrictEqual({ ...record, revokedAt: NOW + 1 })
      }))

    test('revokes a token once in one hundred simultaneous attempts through both stores', () =>
      withStores(async (store, other) => {
        const record = createRecord()
        await store.create(record)
        const results = await Promise.all(
          Array.from({ length: 100 }, (_, at) => (at % 2 ? store : other).revoke(record.tokenDigest, NOW)),
        )
        expect(results.filter(Boolean)).toHaveLength(1)
      }))

    test('keeps the time of redemption of a token that is then revoked', () =>
      withStores(async (store) => {
        const record = createRecord()
        await store.create(record)
        await store.redeem(record.tokenDigest, 'registration', NOW + 1)
        expect(await store.revoke(record.tokenDigest, NOW + 2)).toBe(true)
        const expected = { ...record, redeemedAt: NOW + 1, revokedAt: NOW + 2 }
        expect(await store.findBySession(record.sessionDigest, NOW)).toStrictEqual(expected)
      }))

    test('revokes a token until one hour after its expiry', () =>
      withStores(async (store) => {
        const [early, late] = [createRecord(), createRecord()]
        await Promise.all([store.create(early), store.create(late)])
        expect(await store.revoke(early.tokenDigest, FORGOTTEN - 1)).toBe(true)
        expect(await store.revoke(late.tokenDigest, FORGOTTEN)).toBe(false)
      }))

    test('revokes nothing for a token that never existed and for a session digest', () =>
      withStores(async (store) => {
        const record = createRecord()
        await store.create(record)
        expect(await store.revoke('never-issued', NOW)).toBe(false)
        expect(await store.revoke(record.sessionDigest, NOW)).toBe(false)
        expect((await store.redeem(record.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
      }))

    test('stores both times in order when redemption and revocation are simultaneous', () =>
      withStores(async (store, other) => {
        for (let round = 0; round < 50; round++) {
          const record = createRecord()
          await store.create(record)
          const revocation = (round % 2 ? store : other).revoke(record.tokenDigest, NOW)
          const { outcome } = await store.redeem(record.tokenDigest, 'registration', NOW)
          expect(await revocation).toBe(true)
          expect(await other.findByToken(record.tokenDigest, NOW)).toStrictEqual({
            ...record,
            redeemedAt: outcome === 'redeemed' ? NOW : undefined,
            revokedAt: NOW,
          })
        }
      }))
  })

  test('completes pending calls before it closes, rejects later ones, and can be closed again', async () => {
    const { name, remove } = await create()
    const store = await open(name)
    const records = Array.from({ length: 300 }, () => createRecord())
    const creations = Promise.all(records.map((record) => store.create(record)))
    await store.close()
    await creations
    const digest = records[0]?.tokenDigest ?? ''
    await expect(store.create(createRecord())).rejects.toThrow()
    await expect(store.redeem(digest, 'registration', NOW)).rejects.toThrow()
    await expect(store.revoke(digest, NOW)).rejects.toThrow()
    await expect(store.findByToken(digest, NOW)).rejects.toThrow()
    await expect(store.findBySession(digest, NOW)).rejects.toThrow()
    await store.close()
    const again = await open(name)
    // One after the other: a server that is busy must answer each within 800 ms.
    for (const record of records) expect(await again.findByToken(record.tokenDigest, NOW)).toEqual(record)
    await again.close()
    await remove()
  })
})

describe('SQLite', () => {
  const count = (database: DatabaseSync) =>
    (database.prepare('SELECT count(*) AS count FROM tokens').get() as { count: number }).count

  test('commits writes once the turn of the event loop ends, before it acknowledges them', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    const spy = new DatabaseSync(file)
    const creations = Promise.all(Array.from({ length: 64 }, () => store.create(createRecord())))
    await Promise.resolve()
    expect(count(spy)).toBe(0)
    await Promise.race([creations, endOfTurn()])
    await creations
    expect(count(spy)).toBe(64)
    spy.close()
    await store.close()
  })

  test.skipIf(!hasProgram('sqlite3'))('N24: loses nothing when another program has opened and closed it', async () => {
    const file = newFile()
    // A program that believes it is the last one to close a database deletes its log.
    const countElsewhere = () => Number(execFileSync('sqlite3', [file, 'SELECT count(*) FROM tokens']))
    const store = await open(`sqlite:${file}`)
    for (const counted of [1, 2, 3]) {
      await store.create(createRecord())
      expect(countElsewhere()).toBe(counted)
    }
    await store.close()
    expect(countElsewhere()).toBe(3)
  })

  test('commits all writes of one turn of the event loop together', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    const spy = new DatabaseSync(file)
    const seen: number[] = []
    await Promise.all(Array.from({ length: 64 }, () => store.create(createRecord()).then(() => seen.push(count(spy)))))
    // When the first write is acknowledged, all the others are visible.
    expect(seen).toEqual(Array(64).fill(64))
    spy.close()
    await store.close()
  })

  test('rejects one failed write of a batch and commits the others', async () => {
    const store = await open(`sqlite:${newFile()}`)
    const [first, second, third] = [createRecord(), createRecord(), createRecord()]
    await store.create(first)
    const results = await Promise.allSettled([
      store.create(second),
      store.create({ ...first, username: 'anna' }),
      store.create(third),
      store.redeem(second.tokenDigest, 'registration', NOW),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(await store.findByToken(first.tokenDigest, NOW)).toStrictEqual(first)
    expect(await store.findByToken(second.tokenDigest, NOW)).toStrictEqual({ ...second, redeemedAt: NOW })
    expect(await store.findByToken(third.tokenDigest, NOW)).toStrictEqual(third)
    await store.close()
  })

  test('answers each of many reads and writes of one turn of the event loop with its own result', async () => {
    const store = await open(`sqlite:${newFile()}`)
    const records = Array.from({ length: 64 }, () => createRecord())
    await Promise.all(records.map((record) => store.create(record)))
    const [found, redeemed, missing] = await Promise.all([
      Promise.all(records.map(({ sessionDigest }) => store.findBySession(sessionDigest, NOW))),
      Promise.all(records.map(({ tokenDigest }) => store.redeem(tokenDigest, 'registration', NOW))),
      store.findByToken('unknown', NOW),
    ])
    expect(found.map((record) => record?.tokenDigest)).toEqual(records.map(({ tokenDigest }) => tokenDigest))
    expect(redeemed).toMatchObject(records.map(({ tokenDigest }) => ({ outcome: 'redeemed', record: { tokenDigest } })))
    expect(missing).toBeUndefined()
    await store.close()
  })

  // What a failed read or write of the disk does: SQLite rolls the transaction back, or rejects its commit.
  test.each([
    ['a statement', `SELECT RAISE(ROLLBACK, 'the disk is broken')`],
    ['the commit', 'INSERT INTO children VALUES (1)'],
  ])('rejects a whole batch when %s fails, and commits the next one', async (_, action) => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    const spy = new DatabaseSync(file)
    spy.exec(
      `CREATE TABLE parents (id INTEGER PRIMARY KEY) STRICT;
       CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED) STRICT;
       CREATE TRIGGER broken AFTER INSERT ON tokens WHEN NEW.username = 'broken' BEGIN ${action}; END`,
    )
    const before = createRecord()
    await store.create(before)
    const records = ['jeff', 'broken', 'anna'].map((username) => createRecord({ username }))
    const steps = [
      ...records.map((record) => store.create(record)),
      store.redeem(before.tokenDigest, 'registration', NOW),
      store.revoke(before.tokenDigest, NOW),
    ]
    expect((await Promise.allSettled(steps)).map(({ status }) => status)).toEqual(Array(5).fill('rejected'))
    expect(count(spy)).toBe(1)
    expect(await store.findByToken(before.tokenDigest, NOW)).toStrictEqual(before)

    spy.exec('DROP TRIGGER broken')
    await Promise.all(records.map((record) => store.create(record)))
    expect((await store.redeem(before.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
    expect(count(spy)).toBe(4)
    spy.close()
    await store.close()
  })

  test('answers reads while another process has the lock, and writes when it is released in time', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    using other = new DatabaseSync(file)
    const record = createRecord()
    other.exec('BEGIN IMMEDIATE')
    const creation = store.create(record)
    expect(await store.findByToken(record.tokenDigest, NOW)).toBeUndefined()
    other.exec('COMMIT')
    await creation
    expect(await store.findByToken(record.tokenDigest, NOW)).toStrictEqual(record)
    await store.close()
  })

  test('rejects a write when the lock is not released in time, and does not perform it later', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`, { timeoutMs: SHORT_TIMEOUT_MS })
    using other = new DatabaseSync(file)
    const [refused, later] = [createRecord(), createRecord()]
    other.exec('BEGIN IMMEDIATE')
    await expect(store.create(refused)).rejects.toThrow(`the store did not answer within ${SHORT_TIMEOUT_MS} ms`)
    other.exec('COMMIT')
    await store.create(later)
    expect(await store.findByToken(refused.tokenDigest, NOW)).toBeUndefined()
    await store.close()
  })

  test('deletes in steps the records that expired over an hour ago', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    using spy = new DatabaseSync(file)
    const late = createRecord({ expiresAt: EXPIRY + 1 })
    await store.create(late)
    await fewAtATime.map(
      Array.from({ length: 600 }, () => createRecord()),
      (record) => store.create(record),
    )
    await store.sweep(FORGOTTEN - 1)
    expect(count(spy)).toBe(601)
    await store.sweep(FORGOTTEN)
    expect(count(spy)).toBe(1)
    expect(await store.findByToken(late.tokenDigest, FORGOTTEN)).toStrictEqual(late)
    await store.close()
  })

  test('sweeps without the write lock when nothing is due', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`, { timeoutMs: SHORT_TIMEOUT_MS })
    await store.create(createRecord())
    using other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    await store.sweep(FORGOTTEN - 1)
    await expect(store.sweep(FORGOTTEN)).rejects.toThrow('the store did not answer within')
    other.exec('COMMIT')
    await store.close()
  })

  test('keeps records when it is opened again, and never stores a token', async () => {
    const file = newFile()
    const store = await open(`sqlite:${file}`)
    const record = createRecord()
    await store.create(record)
    await store.redeem(record.tokenDigest, 'registration', NOW)
    await store.close()
    const again = await open(`sqlite:${file}`)
    expect(await again.redeem(record.tokenDigest, 'registration', NOW)).toStrictEqual({ outcome: 'spent' })
    await again.close()
  })

  test('creates the file and its folder with access for their owner alone', async () => {
    const file = join(folder, 'deep/er/trimint.db')
    const store = await open(`sqlite:${file}`)
    await store.create(createRecord())
    for (const [path, mode] of [
      [file, 0o600],
      [`${file}-wal`, 0o600],
      [`${file}-shm`, 0o600],
      [join(folder, 'deep/er'), 0o700],
    ] as const) {
      expect(statSync(path).mode & 0o777, path).toBe(mode)
    }
    await store.close()
  })

  test('migrates a file of version 1 and keeps its counts', async () => {
    const file = newFile()
    const old = new DatabaseSync(file)
    old.exec(
      `CREATE TABLE failures (key TEXT PRIMARY KEY, failures INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
       CREATE INDEX failures_by_expiry ON failures (expires);
       INSERT INTO failures VALUES ('a', 3, ${EXPIRY});
       PRAGMA user_version = 1`,
    )
    old.close()
    const store = await open(`sqlite:${file}`)
    const record = createRecord()
    await store.create(record)
    const failures = await openStore('failures', `sqlite:${file}`)
    expect(await failures.list(NOW, { blocks: 10, counts: 10 })).toEqual([{ key: 'a', failures: 3, expires: EXPIRY }])
    expect(await store.findByToken(record.tokenDigest, NOW)).toStrictEqual(record)
    await failures.close()
    await store.close()
  })

  /** The schema of version 4 and the statements of its processes. */
  const VERSION_4 = `CREATE TABLE failures (key TEXT PRIMARY KEY, failures INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE tokens (
       token_digest TEXT NOT NULL UNIQUE, session_digest TEXT NOT NULL, operation TEXT NOT NULL, username TEXT, client TEXT,
       uaf_request TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, response_lifetime INTEGER NOT NULL,
       redeemed_at INTEGER, revoked_at INTEGER
     ) STRICT;
     CREATE INDEX tokens_by_session ON tokens (session_digest);
     CREATE INDEX tokens_by_expiry ON tokens (expires_at);
     CREATE TABLE revocations (number INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, issued_until INTEGER NOT NULL,
       expires INTEGER NOT NULL) STRICT;
     CREATE TABLE uses (token_id TEXT PRIMARY KEY, count INTEGER NOT NULL DEFAULT 0, last_use INTEGER, expires INTEGER NOT NULL)
       STRICT, WITHOUT ROWID;
     CREATE TABLE replicas (id TEXT PRIMARY KEY, instance TEXT NOT NULL, keys TEXT NOT NULL, expires INTEGER NOT NULL)
       STRICT, WITHOUT ROWID;
     CREATE TABLE signing_keys (fingerprint TEXT PRIMARY KEY, needed_until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
     PRAGMA user_version = 4`
  const insertAsVersion4 = (database: DatabaseSync) =>
    database.prepare(
      `INSERT INTO tokens (token_digest, session_digest, operation, username, client, uaf_request, created_at, expires_at,
         response_lifetime, redeemed_at, revoked_at)
       VALUES ($tokenDigest, $sessionDigest, $operation, $username, $client, $uafRequest, $createdAt, $expiresAt,
         $responseLifetime, $redeemedAt, $revokedAt)`,
    )
  const toValues = ({ knownRevocation: _known, outcome: _outcome, ...record }: TokenRecord) =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [name, value ?? null]))

  test('finds, redeems and revokes tokens that were issued by version 4', async () => {
    const file = newFile()
    const old = new DatabaseSync(file)
    old.exec(VERSION_4)
    const fresh = createRecord()
    const redeemed = createRecord({ redeemedAt: NOW + 1, username: undefined })
    const revoked = createRecord({ revokedAt: NOW + 2, client: undefined, operation: 'authentication' })
    const records = [fresh, redeemed, revoked]
    for (const record of records) insertAsVersion4(old).run(toValues(record))
    // A gap in the numbers, as sweeping leaves it.
    old.exec(`UPDATE tokens SET rowid = 70000 WHERE token_digest = '${revoked.tokenDigest}'`)
    old.close()

    const store = await open(`sqlite:${file}`)
    for (const record of records) {
      const found = { ...record, knownRevocation: undefined }
      expect(await store.findByToken(record.tokenDigest, NOW)).toStrictEqual(found)
      expect(await store.findBySession(record.sessionDigest, NOW)).toStrictEqual(found)
    }
    await expect(store.create(fresh)).rejects.toThrow('a token with this digest already exists')
    expect((await store.redeem(redeemed.tokenDigest, 'registration', NOW)).outcome).toBe('spent')
    expect((await store.redeem(revoked.tokenDigest, 'authentication', NOW)).outcome).toBe('spent')
    expect(await store.revoke(redeemed.tokenDigest, NOW)).toBe(true)
    expect((await store.redeem(fresh.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
    const spy = new DatabaseSync(file)
    expect(spy.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    await store.sweep(FORGOTTEN)
    await expect.poll(() => count(spy)).toBe(0)
    spy.close()
    await store.close()
  })

  test('migrates a file while a process of version 4 goes on using it', async () => {
    const file = newFile()
    const old = new DatabaseSync(file)
    old.exec(`PRAGMA journal_mode = WAL; ${VERSION_4}`)
    const insert = insertAsVersion4(old)
    const redeem = old.prepare(
      `UPDATE tokens SET redeemed_at = ? WHERE token_digest = ? AND redeemed_at IS NULL RETURNING redeemed_at`,
    )
    const sweep = old.prepare(
      'DELETE FROM tokens WHERE rowid IN (SELECT rowid FROM tokens WHERE expires_at <= ? LIMIT 2)',
    )
    const [before, after] = [createRecord(), createRecord()]
    insert.run(toValues(before))
    const store = await open(`sqlite:${file}`)
    insert.run(toValues(after))
    for (const record of [before, after]) {
      expect(redeem.get(NOW, record.tokenDigest)).toEqual({ redeemed_at: NOW })
      expect((await store.redeem(record.tokenDigest, 'registration', NOW)).outcome).toBe('spent')
    }
    expect(sweep.run(EXPIRY).changes).toBe(2)
    expect(await store.findByToken(after.tokenDigest, NOW)).toBeUndefined()
    old.close()
    await store.close()
  })

  test('finds records of another process after all earlier ones were deleted', async () => {
    const file = newFile()
    const [store, other] = [await open(`sqlite:${file}`), await open(`sqlite:${file}`)]
    const spy = new DatabaseSync(file)
    await Promise.all(Array.from({ length: 10 }, () => store.create(createRecord())))
    expect(await store.findByToken('any', NOW)).toBeUndefined()
    spy.exec('DELETE FROM tokens')
    spy.close()
    const record = createRecord()
    await other.create(record)
    expect(await store.findByToken(record.tokenDigest, NOW)).toStrictEqual(record)
    expect((await store.redeem(record.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
    await Promise.all([store.close(), other.close()])
  })

  test('finds its records after a batch was rolled back and others took its row numbers', async () => {
    const file = newFile()
    const [store, other] = [await open(`sqlite:${file}`), await open(`sqlite:${file}`)]
    const spy = new DatabaseSync(file)
    spy.exec(
      `CREATE TRIGGER broken AFTER INSERT ON tokens WHEN NEW.username = 'broken'
       BEGIN SELECT RAISE(ROLLBACK, 'the disk is broken'); END`,
    )
    const undone = [createRecord(), createRecord({ username: 'broken' })]
    const results = await Promise.allSettled(undone.map((record) => store.create(record)))
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    const records = [createRecord(), createRecord(), createRecord()]
    for (const [at, record] of records.entries()) await (at % 2 ? store : other).create(record)
    for (const record of records) {
      expect(await store.findByToken(record.tokenDigest, NOW)).toStrictEqual(record)
      expect(await store.findBySession(record.sessionDigest, NOW)).toStrictEqual(record)
    }
    for (const { tokenDigest } of undone) expect(await store.findByToken(tokenDigest, NOW)).toBeUndefined()
    spy.close()
    await Promise.all([store.close(), other.close()])
  })

  test('distinguishes tokens whose digests have the same beginning', async () => {
    const store = await open(`sqlite:${newFile()}`)
    const alike = 'x'.repeat(42)
    const [first, second] = [createRecord({ tokenDigest: `${alike}1` }), createRecord({ tokenDigest: `${alike}2` })]
    await store.create(first)
    expect(await store.findByToken(second.tokenDigest, NOW)).toBeUndefined()
    expect((await store.redeem(second.tokenDigest, 'registration', NOW)).outcome).toBe('unknown')
    expect(await store.revoke(second.tokenDigest, NOW)).toBe(false)
    await store.create(second)
    expect((await store.redeem(first.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
    expect(await store.findByToken(second.tokenDigest, NOW)).toStrictEqual(second)
    await store.close()
  })

  test('stores tokens in memory', async () => {
    const store = await open('sqlite::memory:')
    const record = createRecord()
    await store.create(record)
    expect((await store.redeem(record.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
    await store.close()
  })
})

describe.skipIf(!hasProgram('redis-server'))('Redis', () => {
  async function withRedis(use: (store: TokenStore, redis: StartedRedis, client: RedisClient) => Promise<void>) {
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

  test('stores a token and its session under two keys that expire', () =>
    withRedis(async (store, _, client) => {
      const record = createRecord()
      await store.create(record)
      const keys = [`trimint:record:${record.tokenDigest}`, `trimint:session:${record.sessionDigest}`]
      expect((await client.keys('*')).toSorted()).toEqual([...keys, 'trimint:reserve'].toSorted())
      expect(await client.get(keys[1] ?? '')).toBe(record.tokenDigest)
      await store.redeem(record.tokenDigest, 'registration', NOW)
      await store.revoke(record.tokenDigest, NOW)
      for (const key of keys) {
        const left = await client.pTTL(key)
        const longest = LIFETIME_MS + record.responseLifetime + RETENTION_MS
        expect(left).toBeGreaterThan(longest - 10_000)
        expect(left).toBeLessThanOrEqual(longest)
      }
    }))

  test('creates all tokens of one turn with one command, and rejects an existing one alone', () =>
    withRedis(async (store, _, client) => {
      const records = Array.from({ length: 40 }, (_, at) => createRecord(at % 3 ? {} : { client: undefined }))
      const [first] = records
      if (first) await store.create(first)
      await client.configResetStat()
      const results = await Promise.allSettled(
        records.map((record) => store.create({ ...record, operation: 'authentication' })),
      )
      expect(await client.info('commandstats')).toMatch(/^cmdstat_evalsha:calls=1,/m)
      expect(results.map(({ status }) => status)).toEqual(['rejected', ...Array(39).fill('fulfilled')])
      for (const record of records) {
        const expected = record === first ? record : { ...record, operation: 'authentication' }
        expect(await store.findByToken(record.tokenDigest, NOW)).toStrictEqual(expected)
        expect(await store.findBySession(record.sessionDigest, NOW)).toStrictEqual(expected)
      }
    }))

  test('leaves no keys after calls with unknown digests', () =>
    withRedis(async (store, _, client) => {
      await store.redeem('never-issued', 'registration', NOW)
      await store.revoke('never-issued', NOW)
      await store.findBySession('never-issued', NOW)
      expect(await client.dbSize()).toBe(0)
    }))

  test('finds no record for a session whose token is gone', () =>
    withRedis(async (store, _, client) => {
      const record = createRecord()
      await store.create(record)
      await client.del(`trimint:record:${record.tokenDigest}`)
      expect(await store.findBySession(record.sessionDigest, NOW)).toBeUndefined()
    }))

  test('loads its scripts again when the server has lost them', () =>
    withRedis(async (store, _, client) => {
      const records = Array.from({ length: 3 }, () => createRecord())
      for (const record of records) {
        await client.scriptFlush()
        await store.create(record)
        await client.scriptFlush()
        expect((await store.redeem(record.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
      }
    }))

  test('rejects when the server returns an error', () =>
    withRedis(async (store, _, client) => {
      const record = createRecord()
      await client.hSet(`trimint:record:${record.tokenDigest}`, 'field', 'no text')
      await expect(store.redeem(record.tokenDigest, 'registration', NOW)).rejects.toThrow('WRONGTYPE')
    }))

  test('rejects a value that is not a token record and leaves it unchanged', () =>
    withRedis(async (store, _, client) => {
      for (const text of ['something else', '123', '- - 9999999999999 registration 5', '- - soon registration {}']) {
        await client.set('trimint:record:a', text)
        await expect(store.redeem('a', 'registration', NOW)).rejects.toThrow('not a token record')
        await expect(store.revoke('a', NOW)).rejects.toThrow('not a token record')
        await expect(store.findByToken('a', NOW)).rejects.toThrow('not a token record')
        await expect(store.create({ ...createRecord(), tokenDigest: 'a' })).rejects.toThrow('already')
        expect(await client.get('trimint:record:a')).toBe(text)
      }
    }))

  test('rejects calls within a second while Redis is down, and recovers once it returns', () =>
    withRedis(async (store, redis) => {
      await store.create(createRecord())
      await redis.stop()
      await expectWithin(
        1_000,
        Promise.all([
          expect(store.create(createRecord())).rejects.toThrow(),
          expect(store.redeem('any', 'registration', NOW)).rejects.toThrow(),
          expect(store.revoke('any', NOW)).rejects.toThrow(),
          expect(store.findByToken('any', NOW)).rejects.toThrow(),
          expect(store.findBySession('any', NOW)).rejects.toThrow(),
        ]),
      )
      await using _again = await startRedis(redis.port)
      const record = createRecord()
      await expect.poll(() => store.create(record).then(() => 'created', String)).toBe('created')
      expect((await store.redeem(record.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
    }))

  test('rejects calls within a second while Redis hangs, and recovers when it continues', () =>
    withRedis(async (store, _, client) => {
      const record = createRecord()
      await store.create(record)
      await client.sendCommand(['CLIENT', 'PAUSE', '1500', 'ALL'])
      await expectWithin(
        1_000,
        Promise.all([
          expect(store.create(createRecord())).rejects.toThrow('has not answered within 800 ms'),
          expect(store.redeem('any', 'registration', NOW)).rejects.toThrow('has not answered within 800 ms'),
          expect(store.findBySession(record.sessionDigest, NOW)).rejects.toThrow('has not answered within 800 ms'),
        ]),
      )
      await expect.poll(() => store.findByToken(record.tokenDigest, NOW).catch(String)).toStrictEqual(record)
    }))

  test('rejects calls until Redis is reachable for the first time', async () => {
    const store = await open('redis://127.0.0.1:1/0')
    await expect(store.findByToken('any', NOW)).rejects.toThrow()
    await store.close()
  })
})
