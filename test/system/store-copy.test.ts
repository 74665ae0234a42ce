import { linkSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/app/system-clock.ts'
import { systemRandomness } from '../../src/app/system-randomness.ts'
import type { TokenRecord } from '../../src/core/ports/token-store.ts'
import { moveStore } from '../../src/store/copy.ts'
import { openStores, type Stores } from '../../src/store/open-stores.ts'
import { openSqliteSource } from '../../src/store/sqlite/source.ts'
import { runTrimint } from '../support/command.ts'
import { createAt, deploy, issueAt, redeemAt } from '../support/instances.ts'
import { hasPostgres, startPostgres } from '../support/postgres.ts'
import { hasProgram } from '../support/programs.ts'
import { createCredential, createRecord } from '../support/records.ts'
import { startRedis } from '../support/redis.ts'
import { findBreaches, NO_BREACH, startSteadyLoad } from '../support/steady-load.ts'

// `trimint store copy` moves the records of an SQLite file to another store.

const folder = mkdtempSync(join(tmpdir(), 'trimint-copy-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const newFile = () => `sqlite:${join(folder, `${files++}.db`)}`
const pathOf = (store: string) => store.slice('sqlite:'.length)

const targets: { target: string; create(): Promise<string> }[] = [{ target: 'SQLite', create: async () => newFile() }]
if (hasProgram('redis-server')) {
  const redis = await startRedis()
  afterAll(() => redis.stop())
  async function create(): Promise<string> {
    await redis.flush()
    return redis.url
  }
  targets.push({ target: 'Redis', create })
}
if (hasPostgres()) {
  const postgres = await startPostgres()
  afterAll(() => postgres.stop())
  targets.push({ target: 'PostgreSQL', create: () => postgres.createDatabase() })
}

const run = (...words: string[]) => runTrimint(words, { clock: systemClock, randomness: systemRandomness })

const NOW = Date.now()
const MINUTE = 60_000

const createNow = (changes: Partial<TokenRecord> = {}): TokenRecord => createRecord({ createdAt: NOW, ...changes })

/** By name, the later key comes first. */
const LATER_KEY = createCredential({ keyId: 'a', username: 'jeff', registeredAt: NOW })
const EARLIER_KEY = createCredential({ keyId: 'b', username: 'jeff', registeredAt: NOW - MINUTE })

const ANONYMOUS = { maxRecords: 10, maxBytes: 10_000 }

/** Fills a store with records in every state. */
async function fill({ tokens, uses, revocations, failures, replicas }: Stores) {
  const records = Array.from({ length: 6 }, () => createNow())
  const [fresh, redeemed, revoked, settled, settledAndRevoked, authenticated] = records as [
    TokenRecord,
    TokenRecord,
    TokenRecord,
    TokenRecord,
    TokenRecord,
    TokenRecord,
  ]
  for (const record of records) await tokens.create(record)
  const anonymous = createNow({ client: undefined })
  await tokens.create(anonymous, ANONYMOUS)
  await tokens.redeem(redeemed.tokenDigest, 'registration', NOW)
  await tokens.revoke(revoked.tokenDigest, NOW)
  const registrations = [
    [settled, LATER_KEY],
    [settledAndRevoked, EARLIER_KEY],
  ] as const
  for (const [{ tokenDigest }, key] of registrations) {
    await tokens.redeem(tokenDigest, 'registration', NOW)
    const outcome = { settledAt: NOW, statusCode: 1200, username: 'jeff' }
    await tokens.settle(tokenDigest, { outcome, registrations: [key], uses: [] }, NOW)
  }
  await tokens.revoke(settledAndRevoked.tokenDigest, NOW)
  await tokens.redeem(authenticated.tokenDigest, 'registration', NOW)
  const used = { credential: LATER_KEY, algorithm: 1, signCounter: 8 }
  const settlement = { outcome: { settledAt: NOW, statusCode: 1200 }, registrations: [], uses: [used] }
  await tokens.settle(authenticated.tokenDigest, settlement, NOW)
  for (const _ of [1, 2]) await uses.count('used twice', 3, NOW + MINUTE, NOW)
  await uses.touch([{ tokenId: 'seen', usedAt: NOW, expires: NOW + MINUTE }], NOW)
  await revocations.add({ subject: 'user jeff', issuedUntil: NOW, expires: NOW + MINUTE }, NOW)
  for (const _ of [1, 2, 3]) await failures.add('address 192.0.2.1', MINUTE, NOW)
  await failures.add('account psc from everywhere', MINUTE, NOW)
  await failures.block('account psc from everywhere', NOW + 2 * MINUTE, NOW)
  await replicas.leave('gone', new Map([['a-fingerprint', NOW + MINUTE]]))
  return { fresh, anonymous, records }
}

/** Reads everything that {@link fill} has written. */
async function read(stores: Stores, records: readonly TokenRecord[]) {
  const { tokens, uses, revocations, failures, replicas, credentials } = stores
  return {
    tokens: await Promise.all(records.map(({ tokenDigest }) => tokens.findByToken(tokenDigest, NOW))),
    sessions: await Promise.all(records.map(({ sessionDigest }) => tokens.findBySession(sessionDigest, NOW))),
    counted: await uses.counted('used twice'),
    lastUse: await uses.lastUse('seen'),
    revocations: (await revocations.since(undefined)).revocations,
    failures: await failures.list(NOW, { blocks: 10, counts: 10 }),
    neededUntil: await replicas.neededUntil(),
    credentials: await credentials.findByUser('jeff'),
  }
}

describe.each(targets)('trimint store copy to $target', ({ create }) => {
  test('moves records in every state, and leaves a file that no server opens', async () => {
    const [from, to] = [newFile(), await create()]
    const source = await openStores(from)
    const { fresh, records } = await fill(source)
    const before = await read(source, records)
    expect(await run('store', 'copy', from, to)).toMatchObject({ code: 0, err: '' })
    await expect(source.tokens.redeem(fresh.tokenDigest, 'registration', NOW)).rejects.toThrow('no such table')
    await expect(source.revocations.since(undefined)).rejects.toThrow('no such table')
    await source.close()
    await expect(openStores(from)).rejects.toThrow('`trimint store copy` has moved its records')

    const target = await openStores(to)
    expect(await read(target, records)).toEqual(before)
    expect((await target.tokens.redeem(fresh.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
    expect(await target.uses.count('used twice', 3, NOW + MINUTE, NOW)).toBe(3)
    expect(await target.tokens.create(createNow({ client: undefined }), { ...ANONYMOUS, maxRecords: 1 })).toBe(false)
    await target.close()
  })

  test('copies tries and tokens also where the clock of this command is a day ahead', async () => {
    const [from, to] = [newFile(), await create()]
    const source = await openStores(from)
    const { records, anonymous } = await fill(source)
    const { tokens, sessions, counted, lastUse } = await read(source, [...records, anonymous])
    const ahead = { clock: () => systemClock() + 24 * 60 * MINUTE, randomness: systemRandomness }
    expect(await runTrimint(['store', 'copy', from, to], ahead)).toMatchObject({ code: 0, err: '' })
    const target = await openStores(to)
    expect(await read(target, [...records, anonymous])).toMatchObject({ tokens, sessions, counted, lastUse })
    await target.close()
    await source.close()
  })

  test('continues an earlier copy with what has changed since', async () => {
    const [from, to] = [newFile(), await create()]
    const source = await openStores(from)
    const target = await openStores(to)
    const { fresh, anonymous, records } = await fill(source)
    const announcement = { id: 'a', instance: 'a', keys: [], expires: Date.now() + MINUTE }
    await target.replicas.announce(announcement, new Map())
    expect(await run('store', 'copy', from, to)).toEqual({
      code: 1,
      out: '',
      err: 'not moved, servers continue with the old store: a server uses the target; stop it, and start it once the copy is complete\n',
    })
    await target.replicas.leave('a', new Map())
    // What a copy that was interrupted leaves behind.
    await target.tokens.create(fresh)
    await target.tokens.create(anonymous, ANONYMOUS)
    const session = createNow()
    await target.tokens.create(session)
    await target.tokens.redeem(session.tokenDigest, 'registration', NOW)
    const outcome = { settledAt: NOW, statusCode: 1200 }
    const removed = createCredential({ username: 'jeff' })
    await target.tokens.settle(session.tokenDigest, { outcome, registrations: [removed], uses: [] }, NOW)
    await target.failures.add('lifted meanwhile', MINUTE, NOW)
    await source.tokens.redeem(fresh.tokenDigest, 'registration', NOW)
    expect(await run('store', 'copy', from, to)).toMatchObject({ code: 0, err: '' })
    await source.close()
    expect((await target.tokens.redeem(fresh.tokenDigest, 'registration', NOW)).outcome).toBe('spent')
    expect(await target.failures.list(NOW, { blocks: 10, counts: 10 })).toHaveLength(2)
    expect((await read(target, records)).credentials).toHaveLength(2)
    expect(await target.tokens.create(createNow({ client: undefined }), { ...ANONYMOUS, maxRecords: 2 })).toBe(true)
    await target.close()
  })

  test('copies what has changed between its passes', async () => {
    const [from, to] = [newFile(), await create()]
    const path = from.slice('sqlite:'.length)
    const stores = await openStores(from)
    const { fresh, records } = await fill(stores)
    await stores.close()
    const target = await openStores(to)
    const source = openSqliteSource(path)
    using changing = new DatabaseSync(path)
    const passes: number[] = []
    function onPass(changes: number): void {
      passes.push(changes)
      if (passes.length > 1) return
      changing.exec(`
        UPDATE tokens SET redeemed_at = ${NOW} WHERE token_digest = '${fresh.tokenDigest}';
        UPDATE uses SET count = 3 WHERE token_id = 'used twice';
        UPDATE revocations SET issued_until = ${NOW + 1};
        DELETE FROM failures WHERE key = 'address 192.0.2.1';
        UPDATE failures SET failures = 2;
        DELETE FROM credentials WHERE key_id = '${EARLIER_KEY.keyId}';
        UPDATE credentials SET sign_counter = 9, last_used_at = ${NOW + 1}`)
    }
    await moveStore(source, target, { clock: systemClock, randomness: systemRandomness, onPass })
    source.close()
    expect(passes).toEqual([expect.any(Number), 7])
    expect(await read(target, records)).toMatchObject({
      counted: 3,
      revocations: [{ issuedUntil: NOW + 1 }],
      failures: [{ key: 'account psc from everywhere', failures: 2 }],
      credentials: [{ keyId: LATER_KEY.keyId, signCounter: 9, lastUsedAt: NOW + 1 }],
    })
    expect((await target.tokens.redeem(fresh.tokenDigest, 'registration', NOW)).outcome).toBe('spent')
    await target.close()
  })

  test('loses no token and redeems none twice while clients use the servers', { timeout: 120_000 }, async () => {
    const [from, to] = [newFile(), await create()]
    await using old = await deploy(undefined, { store: from })
    await using next = await deploy(to)
    let current = await old.start()
    const left = current
    const load = startSteadyLoad(() => current)
    await expect.poll(load.served).toBeGreaterThan(50)
    expect(await run('store', 'copy', from, to)).toMatchObject({ code: 0, err: '' })
    expect(await createAt(left)).toMatchObject({ status: 200, body: '{"statusCode":1500}' })
    await expect.poll(async () => (await left.request('/readyz')).status).toBe(503)
    current = await next.start()
    const before = load.served()
    await expect.poll(() => load.served() - before).toBeGreaterThan(20)
    await load.stop()
    expect(await findBreaches(current, load)).toEqual(NO_BREACH)
    expect(await redeemAt(current, (await issueAt(current)).token)).toBe(1200)
  })
})

test.each(['before', 'during'])('a copy that fails %s the last pass leaves the file to the servers', async (moment) => {
  const from = newFile()
  const stores = await openStores(from)
  const { fresh } = await fill(stores)
  if (moment === 'before') {
    const { code, err } = await run('store', 'copy', from, 'redis://127.0.0.1:1/0')
    expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(/^not moved, servers continue with the old/) })
  } else {
    const source = openSqliteSource(pathOf(from))
    const fail = async () => {
      throw new Error('the target is away')
    }
    await expect(source.move(fail)).rejects.toThrow('the target is away')
    source.close()
  }
  expect((await stores.tokens.redeem(fresh.tokenDigest, 'registration', NOW)).outcome).toBe('redeemed')
  await stores.close()
})

test.each([
  ['a symbolic link to it', symlinkSync],
  ['another name of it', linkSync],
])('refuses to copy a file to %s, and keeps its keys', async (_, link) => {
  const [from, to] = [newFile(), newFile()]
  const stores = await openStores(from)
  await fill(stores)
  await stores.close()
  link(pathOf(from), pathOf(to))
  const { code, err } = await run('store', 'copy', from, to)
  expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('cannot be copied to itself') })
  const again = await openStores(from)
  expect(await again.credentials.findByUser('jeff')).toHaveLength(2)
  await again.close()
})

test.each([
  [['redis://127.0.0.1:1/0', 'sqlite:other.db'], 'only an SQLite file can be copied'],
  [['sqlite:a.db', 'sqlite:./a.db'], 'cannot be copied to itself'],
  [['sqlite:missing.db', 'sqlite:other.db'], 'missing.db does not exist'],
  [['sqlite:a.db', 'sqlite::memory:'], 'store: in memory; expected one that servers share'],
  [['sqlite:a.db', 'file:missing'], 'missing cannot be read (ENOENT)'],
  [['sqlite:a.db', 'postgres://user:secret-password@/x'], 'store: invalid host or port'],
])('rejects store copy %j', async (words, message) => {
  const { code, err } = await run('store', 'copy', ...words)
  expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(message) })
  expect(err).not.toContain('secret-password')
})
