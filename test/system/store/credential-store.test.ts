import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Credential, MAX_KEYS_PER_USER } from '../../../src/core/ports/credential-store.ts'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import type { Settlement, TokenRecord } from '../../../src/core/ports/token-store.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { hasPostgres, startPostgres } from '../../support/postgres.ts'
import { hasProgram } from '../../support/programs.ts'
import { createCredential, createRecord, LIFETIME_MS, NOW, RESPONSE_MS } from '../../support/records.ts'
import { startRedis } from '../../support/redis.ts'
import { shareRedisNodes } from '../../support/redis-nodes.ts'
import { createStoreFolder } from '../../support/stores.ts'

const folder = createStoreFolder('credentials')
afterAll(() => rmSync(folder, { recursive: true }))

const kinds = [{ kind: 'sqlite', name: async () => `sqlite:${join(folder, 'store.db')}` }]
if (hasProgram('redis-server')) {
  const redis = await startRedis()
  afterAll(() => redis.stop())
  kinds.push({ kind: 'redis', name: async () => redis.url })
  for (const { kind, url, stop } of shareRedisNodes()) {
    afterAll(stop)
    kinds.push({ kind, name: url })
  }
}
if (hasPostgres()) {
  const postgres = await startPostgres()
  afterAll(() => postgres.stop())
  kinds.push({ kind: 'postgres', name: () => postgres.createDatabase() })
}

const registering = (...registrations: Credential[]): Settlement => ({
  outcome: {
    settledAt: NOW,
    statusCode: 1200,
    authenticators: registrations.map(({ aaid, keyId }) => ({ aaid, keyId })),
  },
  registrations,
  uses: [],
})

const using = (credential: Credential, signCounter: number, algorithm = 1): Settlement => ({
  outcome: { settledAt: NOW, statusCode: 1200, username: credential.username },
  registrations: [],
  uses: [{ credential, algorithm, signCounter }],
})

const FAILURE: Settlement = {
  outcome: { settledAt: NOW, statusCode: 1498, asmStatusCode: 3 },
  registrations: [],
  uses: [],
}

describe.each(kinds)('$kind', ({ name }) => {
  let opened: Promise<[Stores, Stores]>
  beforeAll(async () => {
    const store = await name()
    opened = Promise.all([openStores(store), openStores(store)])
  })
  afterAll(async () => {
    for (const stores of await opened) await stores.close()
  })

  async function redeemed({ tokens }: Stores, changes: Partial<TokenRecord> = {}): Promise<TokenRecord> {
    const record = createRecord(changes)
    await tokens.create(record)
    await tokens.redeem(record.tokenDigest, record.operation, NOW)
    return { ...record, redeemedAt: NOW }
  }

  async function registered(stores: Stores, credential = createCredential()): Promise<Credential> {
    const { tokenDigest } = await redeemed(stores)
    expect(await stores.tokens.settle(tokenDigest, registering(credential), NOW)).toBe('settled')
    return credential
  }

  test('U27, U34: settles a registration once, with its keys, and other processes find them', async () => {
    const [stores, others] = await opened
    const record = await redeemed(stores)
    const [first, second] = [
      createCredential({ username: 'U34', keyId: 'a' }),
      createCredential({ username: 'U34', keyId: 'b', algorithm: undefined }),
    ] as const
    const settlement = registering(first, second)
    expect(await stores.tokens.settle(record.tokenDigest, settlement, NOW)).toBe('settled')
    expect(await others.tokens.settle(record.tokenDigest, FAILURE, NOW)).toBe('ended')
    expect(await others.tokens.findByToken(record.tokenDigest, NOW)).toStrictEqual({
      ...record,
      outcome: settlement.outcome,
    })
    expect(await others.tokens.findBySession(record.sessionDigest, NOW)).toMatchObject({ outcome: settlement.outcome })
    expect(await others.credentials.find([first, { aaid: 'F1D0#0001', keyId: 'unknown' }])).toStrictEqual([first])
    expect(await others.credentials.findByUser('U34')).toStrictEqual([first, second])
    expect(await others.credentials.findByUser('nobody')).toEqual([])
    expect(await others.credentials.find([])).toEqual([])
  })

  test.each(['a\0b', 'a\nb', '\u2028\u2029', 'e\u0301', 'STRASSE', ' jeff ', '*', 'trimint:credentials'])(
    'N16: keeps keys and outcome of the user %j apart from those of similar names',
    async (username) => {
      const [stores, others] = await opened
      const credential = await registered(stores, createCredential({ username }))
      const session = await redeemed(stores, { operation: 'authentication', username })
      const used = using(credential, 2)
      expect(await stores.tokens.settle(session.tokenDigest, used, NOW)).toBe('settled')
      expect((await others.tokens.findByToken(session.tokenDigest, NOW))?.outcome).toStrictEqual(used.outcome)
      const stored = { ...credential, signCounter: 2, lastUsedAt: NOW }
      expect(await others.credentials.findByUser(username)).toStrictEqual([stored])
      const similar = [
        username.split('\0')[0],
        username.trim(),
        username.toLowerCase(),
        username.normalize(),
        `${username}:`,
      ]
      for (const name of new Set(similar.flatMap((text) => (text === undefined || text === username ? [] : [text])))) {
        expect(await others.credentials.findByUser(name)).toEqual([])
        const record = createRecord({ operation: 'deregistration', username: name })
        await others.tokens.create(record)
        const removal = { username: name, selectors: [{ aaid: '', keyId: '' }] }
        const redemption = await others.tokens.redeem(record.tokenDigest, record.operation, NOW, removal)
        expect(redemption).toMatchObject({ outcome: 'redeemed', removed: [] })
      }
      expect(await stores.credentials.remove(credential)).toBe(true)
    },
  )

  test('U34: settles a failure once, with its codes', async () => {
    const [stores, others] = await opened
    const { tokenDigest } = await redeemed(stores)
    expect(await stores.tokens.settle(tokenDigest, FAILURE, NOW)).toBe('settled')
    expect((await others.tokens.findByToken(tokenDigest, NOW))?.outcome).toEqual(FAILURE.outcome)
    expect(await others.tokens.settle(tokenDigest, FAILURE, NOW)).toBe('ended')
    // A revocation afterwards keeps the outcome.
    expect(await stores.tokens.revoke(tokenDigest, NOW + 1)).toBe(true)
    expect(await others.tokens.findByToken(tokenDigest, NOW)).toMatchObject({
      outcome: FAILURE.outcome,
      revokedAt: NOW + 1,
    })
  })

  test('U12: settles no session that is unknown, not redeemed, revoked or past its retention', async () => {
    const [{ tokens }] = await opened
    const fresh = createRecord()
    await tokens.create(fresh)
    const revoked = await redeemed({ tokens } as Stores)
    await tokens.revoke(revoked.tokenDigest, NOW)
    const old = await redeemed({ tokens } as Stores)
    expect(await tokens.settle('unknown', FAILURE, NOW)).toBe('ended')
    expect(await tokens.settle(fresh.tokenDigest, FAILURE, NOW)).toBe('ended')
    expect(await tokens.settle(revoked.tokenDigest, FAILURE, NOW)).toBe('ended')
    expect(await tokens.settle(old.tokenDigest, FAILURE, NOW + LIFETIME_MS + RETENTION_MS)).toBe('ended')
  })

  test('N23: keeps a record for an hour after its token and its response have expired', async () => {
    const [{ tokens }] = await opened
    const record = createRecord()
    await tokens.create(record)
    await tokens.redeem(record.tokenDigest, 'registration', NOW + LIFETIME_MS - 1)
    const end = NOW + LIFETIME_MS - 1 + RESPONSE_MS + RETENTION_MS
    expect(await tokens.findByToken(record.tokenDigest, end - 1)).toBeDefined()
    expect(await tokens.findByToken(record.tokenDigest, end)).toBeUndefined()
  })

  test('U27: registers all keys of a response or none, and no key twice, whatever the case of its AAID', async () => {
    const [stores, others] = await opened
    const taken = await registered(stores, createCredential({ aaid: 'F1D0#ABCD' }))
    const fresh = createCredential()
    const { tokenDigest } = await redeemed(stores)
    const again = { ...taken, aaid: 'f1d0#abcd', username: fresh.username }
    expect(await others.tokens.settle(tokenDigest, registering(fresh, again), NOW)).toBe('conflict')
    expect(await others.credentials.findByUser(fresh.username)).toEqual([])
    expect(await others.credentials.find([again])).toStrictEqual([taken])
    // A conflict leaves the session as it was.
    expect(await others.tokens.settle(tokenDigest, registering(fresh), NOW)).toBe('settled')
  })

  test('U31: moves a counter only where the key is as it was read', async () => {
    const [stores, others] = await opened
    const credential = await registered(stores, createCredential({ algorithm: undefined }))
    const sessions = await Promise.all([1, 2, 3, 4].map(() => redeemed(stores, { operation: 'authentication' })))
    const [a = '', b = '', c = '', d = ''] = sessions.map(({ tokenDigest }) => tokenDigest)
    expect(await stores.tokens.settle(a, using(credential, 5, 2), NOW + 7)).toBe('settled')
    expect(await others.tokens.settle(b, using(credential, 6, 2), NOW)).toBe('conflict')
    const used = { ...credential, signCounter: 5, algorithm: 2, lastUsedAt: NOW + 7 }
    expect(await others.credentials.find([credential])).toStrictEqual([used])
    // The time of the last use may differ.
    expect(await others.tokens.settle(b, using({ ...used, lastUsedAt: undefined }, 6, 2), NOW + 8)).toBe('settled')
    await stores.credentials.remove(credential)
    expect(await stores.tokens.settle(c, using({ ...used, signCounter: 6 }, 7, 2), NOW)).toBe('conflict')
    await registered(stores, { ...credential, publicKey: 'other', signCounter: 6, algorithm: 2 })
    expect(await stores.tokens.settle(d, using({ ...used, signCounter: 6 }, 7, 2), NOW)).toBe('conflict')
  })

  test('U34: of many responses at the same time, one settles the session', async () => {
    const [stores, others] = await opened
    const credential = await registered(stores)
    const { tokenDigest } = await redeemed(stores, { operation: 'authentication' })
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, at) =>
        (at % 2 ? stores : others).tokens.settle(tokenDigest, using(credential, 2 + at), NOW),
      ),
    )
    expect(results.filter((result) => result === 'settled')).toHaveLength(1)
    expect(results.filter((result) => result === 'ended')).toHaveLength(49)
  })

  test('U31, U34: of many sessions with one counter, each settled one moved it', async () => {
    const [stores, others] = await opened
    const credential = await registered(stores)
    const sessions = await Promise.all(
      Array.from({ length: 20 }, () => redeemed(stores, { operation: 'authentication' })),
    )
    const results = await Promise.all(
      sessions.map(({ tokenDigest }, at) =>
        (at % 2 ? stores : others).tokens.settle(tokenDigest, using(credential, 2), NOW),
      ),
    )
    expect(results.filter((result) => result === 'settled')).toHaveLength(1)
    expect(results.filter((result) => result === 'conflict')).toHaveLength(19)
  })

  test('U38: refuses keys beyond the limit of a user, all or none, until one is removed', async () => {
    const [stores, others] = await opened
    const { username } = createCredential()
    const keys = Array.from({ length: MAX_KEYS_PER_USER }, () => createCredential({ username }))
    const [first, ...further] = keys
    if (!first) throw new Error('the limit is 0')
    await registered(stores, first)
    const session = await redeemed(stores)
    expect(
      await others.tokens.settle(session.tokenDigest, registering(...further, createCredential({ username })), NOW),
    ).toBe('full')
    expect(await others.credentials.findByUser(username)).toStrictEqual([first])
    expect(await others.tokens.settle(session.tokenDigest, registering(...further), NOW)).toBe('settled')

    const { tokenDigest } = await redeemed(stores)
    const next = registering(createCredential({ username }))
    expect(await stores.tokens.settle(tokenDigest, next, NOW)).toBe('full')
    expect((await others.tokens.findByToken(tokenDigest, NOW))?.outcome).toBeUndefined()
    const uses = await redeemed(stores, { operation: 'authentication' })
    expect(await stores.tokens.settle(uses.tokenDigest, using(first, 2), NOW)).toBe('settled')
    await registered(others)
    await others.credentials.remove(first)
    expect(await stores.tokens.settle(tokenDigest, next, NOW)).toBe('settled')
    expect(await others.credentials.findByUser(username)).toHaveLength(MAX_KEYS_PER_USER)
  })

  test('U38: of many registrations of a user at the same time, as many hold as the limit allows', async () => {
    const [stores, others] = await opened
    const { username } = createCredential()
    const sessions = await Promise.all(Array.from({ length: MAX_KEYS_PER_USER + 8 }, () => redeemed(stores)))
    const results = await Promise.all(
      sessions.map(({ tokenDigest }, at) =>
        (at % 2 ? stores : others).tokens.settle(tokenDigest, registering(createCredential({ username })), NOW),
      ),
    )
    expect(results.filter((result) => result === 'settled')).toHaveLength(MAX_KEYS_PER_USER)
    expect(results.filter((result) => result === 'full')).toHaveLength(8)
    expect(await others.credentials.findByUser(username)).toHaveLength(MAX_KEYS_PER_USER)
  })

  test.each([
    ['all keys of the user', [{ aaid: '', keyId: '' }], ['a', 'b', 'c']],
    ['the keys of an AAID, in any case', [{ aaid: 'f1d0#000a', keyId: '' }], ['a', 'b']],
    ['one key', [{ aaid: 'F1D0#000A', keyId: 'a' }], ['a']],
    ['a key of any AAID', [{ aaid: '', keyId: 'c' }], ['c']],
    [
      'keys that two selectors name',
      [
        { aaid: 'F1D0#000A', keyId: 'a' },
        { aaid: 'F1D0#000A', keyId: '' },
      ],
      ['a', 'b'],
    ],
    ['no key', [{ aaid: '0000#0000', keyId: '' }], []],
  ])('U6: a redemption deletes %s, once, and returns them', async (_, selectors, removed) => {
    const [stores, others] = await opened
    const { username } = createCredential()
    const prefix = `${username}-`
    const keys = ['a', 'b', 'c'].map((keyId) =>
      createCredential({ keyId: prefix + keyId, username, aaid: keyId === 'c' ? 'F1D0#000C' : 'F1D0#000A' }),
    )
    for (const key of keys) await registered(stores, key)
    const foreign = await registered(stores, createCredential({ aaid: 'F1D0#000A' }))
    const named = selectors.map(({ aaid, keyId }) => ({ aaid, keyId: keyId && prefix + keyId }))
    const record = createRecord({ operation: 'deregistration', username })
    await stores.tokens.create(record)
    const removal = { username, selectors: named }

    expect(await others.tokens.redeem(record.tokenDigest, 'registration', NOW, removal)).toEqual({
      outcome: 'misdirected',
    })
    const redemption = await stores.tokens.redeem(record.tokenDigest, 'deregistration', NOW, removal)
    const names = (credentials: readonly Credential[]) =>
      credentials.map(({ keyId }) => keyId.slice(prefix.length)).toSorted()
    expect(redemption.outcome === 'redeemed' && names(redemption.removed)).toEqual(removed)
    expect(names(await others.credentials.findByUser(username))).toEqual(
      ['a', 'b', 'c'].filter((key) => !removed.includes(key)),
    )
    expect(await others.credentials.find([foreign])).toStrictEqual([foreign])
    expect(await others.tokens.redeem(record.tokenDigest, 'deregistration', NOW, removal)).toEqual({ outcome: 'spent' })
  })

  test('U6: a redemption deletes a key that one of thousands of selectors names, as many as a body holds', async () => {
    const [stores] = await opened
    const { username } = createCredential()
    const keys = Array.from({ length: MAX_KEYS_PER_USER }, () => createCredential({ username }))
    const { tokenDigest } = await redeemed(stores)
    expect(await stores.tokens.settle(tokenDigest, registering(...keys), NOW)).toBe('settled')
    const others = Array.from({ length: 4_500 }, (_, at) => ({
      aaid: `0000#${at.toString(16).padStart(4, '0')}`,
      keyId: '',
    }))
    const [last = createCredential()] = keys.slice(-1)
    const record = createRecord({ operation: 'deregistration', username })
    await stores.tokens.create(record)
    const removal = { username, selectors: [...others, last] }
    expect(await stores.tokens.redeem(record.tokenDigest, 'deregistration', NOW, removal)).toMatchObject({
      outcome: 'redeemed',
      removed: [last],
    })
  })

  test('rejects a settlement whose store is closed, instead of reporting a conflict', async () => {
    const closed = await openStores(await name())
    await closed.close()
    await expect(closed.tokens.settle('any', registering(createCredential()), NOW)).rejects.toThrow('closed')
  })

  test('lists and removes keys', async () => {
    const [stores, others] = await opened
    const credential = await registered(stores, createCredential({ username: 'quote"\'\n—😀' }))
    const listed = await others.credentials.list(1_000)
    expect(listed.filter(({ keyId }) => keyId === credential.keyId)).toStrictEqual([credential])
    expect(await others.credentials.list(1)).toHaveLength(1)
    expect(await others.credentials.remove({ ...credential, aaid: 'f1d0#0001' })).toBe(true)
    expect(await stores.credentials.remove(credential)).toBe(false)
    expect(await stores.credentials.findByUser(credential.username)).toEqual([])
    expect(await registered(stores, credential)).toBe(credential)
  })
})
