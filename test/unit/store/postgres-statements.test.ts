import { describe, expect, test } from 'vitest'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import type { Row, Statement } from '../../../src/store/postgres/connection.ts'
import { createPostgresCredentialStore } from '../../../src/store/postgres/credential-store.ts'
import { findDurabilityWarnings } from '../../../src/store/postgres/durability.ts'
import { createPostgresFailedAttemptStore } from '../../../src/store/postgres/failed-attempt-store.ts'
import { PROBE } from '../../../src/store/postgres/find-primary.ts'
import { createPostgresInstanceStore } from '../../../src/store/postgres/instance-store.ts'
import type { Primary } from '../../../src/store/postgres/primary.ts'
import { createPostgresRevocationStore } from '../../../src/store/postgres/revocation-store.ts'
import { prepareSchema } from '../../../src/store/postgres/schema.ts'
import { createPostgresTokenStore } from '../../../src/store/postgres/token-store.ts'
import { createPostgresUsageStore } from '../../../src/store/postgres/usage-store.ts'
import { createConnection } from '../../support/postgres-stand-in.ts'
import { createRecord, NOW } from '../../support/records.ts'

// What the stores send to PostgreSQL. test/system/store has what a real server answers.

/** A primary that answers each statement with rows, none by default, and shares each step between the items of a test. */
function createPrimary(answers: Readonly<Record<string, readonly Row[]>> = {}) {
  const sent: { readonly statement: Statement; readonly values: readonly unknown[] }[] = []
  let generation = 1
  const run = async (statement: Statement, values: readonly unknown[]) => {
    sent.push({ statement, values })
    return answers[statement.name] ?? []
  }
  const primary: Pick<Primary, 'run' | 'gather' | 'generation'> = {
    run,
    gather(step) {
      const waiting: { item: Parameters<typeof step>[0][number]; answer: PromiseWithResolvers<never> }[] = []
      return (item) => {
        const answer = Promise.withResolvers<never>()
        waiting.push({ item, answer })
        if (waiting.length > 1) return answer.promise
        queueMicrotask(async () => {
          const group = waiting.splice(0)
          try {
            const results = await step(
              group.map(({ item }) => item),
              run,
            )
            for (const [at, { answer }] of group.entries()) answer.resolve(results[at] as never)
          } catch (error) {
            for (const { answer } of group) answer.reject(error)
          }
        })
        return answer.promise
      }
    },
    generation: () => generation,
  }
  const promote = (): void => {
    generation += 1
  }
  return { primary, sent, promote }
}

/** Calls every operation of every store. Some reject: the answers have no rows. */
async function callEverything(primary: Pick<Primary, 'run' | 'gather' | 'generation'>): Promise<void> {
  const credentials = createPostgresCredentialStore(primary)
  const failures = createPostgresFailedAttemptStore(primary)
  const instances = createPostgresInstanceStore(primary)
  const revocations = createPostgresRevocationStore(primary)
  const tokens = createPostgresTokenStore(primary)
  const uses = createPostgresUsageStore(primary)
  const name = { aaid: '0001#0001', keyId: 'k' }
  const settlement = { outcome: { settledAt: NOW, statusCode: 1200 }, registrations: [], uses: [] }
  await Promise.allSettled([
    credentials.find([name]),
    credentials.findByUser('jeff'),
    credentials.list(1),
    credentials.remove(name),
    failures.add('a', 1, NOW),
    failures.block('a', NOW, NOW),
    failures.remove('a', 1),
    failures.subtract('a', 1, 1),
    failures.list(NOW, { blocks: 1, counts: 1 }),
    failures.sweep(NOW),
    instances.announce({ id: 'a', instance: 'a', keys: [], expires: NOW }, new Map()),
    instances.leave('a', new Map()),
    instances.running(NOW),
    instances.neededUntil(),
    instances.sweep(NOW),
    revocations.add({ subject: 'token a', issuedUntil: NOW, expires: NOW }, NOW),
    revocations.since(undefined),
    revocations.sweep(NOW),
    tokens.create(createRecord()),
    tokens.create(createRecord(), { maxRecords: 1, maxBytes: 1 }),
    tokens.redeem('a', 'registration', NOW),
    tokens.redeem('a', 'deregistration', NOW, { username: 'jeff', selectors: [] }),
    tokens.settle('a', settlement, NOW),
    tokens.revoke('a', NOW),
    tokens.findByToken('a', NOW),
    tokens.findBySession('a', NOW),
    tokens.sweep(NOW),
    uses.count('a', 1, NOW, NOW),
    uses.touch([{ tokenId: 'a', usedAt: NOW, expires: NOW }], NOW),
    uses.counted('a'),
    uses.sweep(NOW),
    findDurabilityWarnings(primary),
  ])
}

/** The server parses a statement once for each name, and rejects another one with the same name. */
test('gives every statement a name of its own', async () => {
  const { primary, sent } = createPrimary()
  await callEverything(primary)
  const prepared: Statement[] = [PROBE]
  const connection = createConnection((name) =>
    name === 'find-schema'
      ? [{ encoding: 'UTF8', exists: true }]
      : name === 'read-schema-version'
        ? [{ version: 2 }]
        : [],
  )
  const { run } = connection
  await prepareSchema(
    {
      ...connection,
      run(statement, values) {
        prepared.push(statement)
        return run(statement, values)
      },
    },
    { create: false },
  )
  const texts = new Map<string, Set<string>>()
  for (const { name, text } of [...prepared, ...sent.map(({ statement }) => statement)]) {
    texts.set(name, (texts.get(name) ?? new Set()).add(text))
  }
  expect([...texts.values()].filter(({ size }) => size > 1)).toEqual([])
  // All that src/store/postgres has: 34 of the stores, three of the schema, one for the search and one for warnings.
  expect(texts.size).toBe(39)
  expect([...texts.keys()]).not.toContain('')
})

describe('uses of tokens', () => {
  test('are counted together, each kept for the time after the latest expiry', async () => {
    const { primary, sent } = createPrimary({
      'count-uses': [{ token: '"a"', uses: '5', counted: '2' }],
    })
    const uses = createPostgresUsageStore(primary)
    const counts = [1, 3, 2].map((expires) => uses.count('a', 5, NOW + expires, NOW))
    // Two of three have counted.
    expect(await Promise.all(counts)).toEqual([4, 5, undefined])
    expect(JSON.parse(String(sent[0]?.values[0]))).toEqual([{ token: '"a"', uses: 3, kept: NOW + 3 + RETENTION_MS }])
    expect(sent[0]?.values[1]).toBe(5)
    expect(sent).toHaveLength(1)
  })

  test('are counted separately where the limits differ', async () => {
    const { primary, sent } = createPrimary()
    const uses = createPostgresUsageStore(primary)
    await Promise.all([uses.count('a', 5, NOW, NOW), uses.count('a', 6, NOW, NOW)])
    expect(sent.map(({ values }) => values[1])).toEqual([5, 6])
  })

  test('are noted with the latest time and the latest expiry of each token, and nothing is sent for none', async () => {
    const { primary, sent } = createPrimary()
    const uses = createPostgresUsageStore(primary)
    await uses.touch([], NOW)
    expect(sent).toEqual([])
    await uses.touch(
      [
        { tokenId: 'a', usedAt: NOW + 2, expires: NOW + 5 },
        { tokenId: 'a', usedAt: NOW + 1, expires: NOW + 6 },
      ],
      NOW,
    )
    expect(JSON.parse(String(sent[0]?.values[0]))).toEqual([
      { token: '"a"', used: NOW + 2, kept: NOW + 6 + RETENTION_MS },
    ])
  })

  test('are read, as many as there are', async () => {
    const { primary } = createPrimary({ 'read-uses': [{ token: '"a"', uses: '3', lastUse: NOW }] })
    const uses = createPostgresUsageStore(primary)
    expect(await Promise.all([uses.counted('a'), uses.counted('b'), uses.lastUse('a'), uses.lastUse('b')])).toEqual([
      3,
      0,
      NOW,
      undefined,
    ])
  })

  test('are swept by the time until which they are kept', async () => {
    const { primary, sent } = createPrimary()
    await createPostgresUsageStore(primary).sweep(NOW)
    expect(sent.map(({ values }) => values)).toEqual([[NOW]])
  })
})

test('counts failures that come together at the latest of their times, for the longest lifetime', async () => {
  const { primary, sent } = createPrimary({ 'add-failures': [{ key: '"a"', failures: '7', expires: String(NOW) }] })
  const failures = createPostgresFailedAttemptStore(primary)
  const counted = await Promise.all([failures.add('a', 30, NOW + 2), failures.add('a', 20, NOW + 1)])
  expect(counted.map((count) => count.failures)).toEqual([6, 7])
  expect(JSON.parse(String(sent[0]?.values[0]))).toEqual([{ key: '"a"', failures: 2, expires: NOW + 2 + 30 }])
  expect(sent[0]?.values[1]).toBe(NOW + 2)
})

describe('registered keys', () => {
  const KEY = { aaid: '0001#0001', keyId: 'k' }
  const row = { aaid: KEY.aaid, key: KEY.keyId, username: '"jeff"', details: '{}', registered: '1', lastUsed: null }

  test('are listed up to a limit', async () => {
    const { primary, sent } = createPrimary({ 'list-credentials': [row, row] })
    expect(await createPostgresCredentialStore(primary).list(2)).toHaveLength(2)
    expect(sent[0]?.values).toEqual([2])
  })

  test.each([
    ['a known one', [row], true],
    ['an unknown one', [], false],
  ])('are removed: %s', async (_, rows, expected) => {
    const { primary, sent } = createPrimary({ 'remove-credential': rows })
    expect(await createPostgresCredentialStore(primary).remove({ ...KEY, aaid: 'abcd#0001' })).toBe(expected)
    expect(sent[0]?.values).toEqual(['ABCD#0001', 'k'])
  })
})

test('rejects revocations that were read while another server became the primary', async () => {
  const { primary, promote } = createPrimary({ 'read-revocations': [{ horizon: '1', subject: null }] })
  const revocations = createPostgresRevocationStore({
    ...primary,
    async run(statement, values) {
      promote()
      return primary.run(statement, values)
    },
  })
  await expect(revocations.since(undefined)).rejects.toThrow('PostgreSQL was replaced while revocations were read')
})

describe('preparing the tables', () => {
  /** Prepares a database with a version; returns what happened, and the scripts that ran. */
  async function prepare(state: Row, { create = true, failingScript = '' } = {}) {
    const scripts: string[] = []
    const connection = createConnection((name) => {
      if (name === 'find-schema') return [{ encoding: 'UTF8', exists: true, ...state }]
      return name === 'read-schema-version' ? [{ version: state.version }] : []
    })
    const outcome = await prepareSchema(
      {
        ...connection,
        async runScript(text) {
          scripts.push(text)
          if (failingScript !== '' && text.includes(failingScript)) throw new Error('script failed')
        },
      },
      { create },
    ).then(
      () => 'done',
      ({ message }: Error) => message,
    )
    return { outcome, scripts }
  }

  test('changes nothing where they are current', async () => {
    expect(await prepare({ version: 2 })).toEqual({ outcome: 'done', scripts: [] })
  })

  test.each([
    [{ version: 3 }, 'the store is of version 3, this release knows versions up to 2'],
    [{ encoding: 'LATIN1' }, 'the database is encoded in LATIN1; expected UTF8'],
  ])('refuses %o', async (state, expected) => {
    expect(await prepare(state)).toEqual({ outcome: expected, scripts: [] })
  })

  test.each([
    [{ exists: false }, 'the database contains no store'],
    [{ version: 1 }, 'the store is of version 1; a server of this release migrates it to 2'],
  ])('refuses %o where it must not change it', async (state, expected) => {
    expect(await prepare(state, { create: false })).toEqual({ outcome: expected, scripts: [] })
  })

  test.each([
    ['from nothing', { exists: false }, ['CREATE TABLE trimint_schema', 'CREATE TABLE trimint_tokens', 'ALTER TABLE']],
    ['from version 1', { version: 1 }, ['ALTER TABLE']],
  ])('migrates them in one transaction with a lock: %s', async (_, state, expected) => {
    const { outcome, scripts } = await prepare(state)
    expect(outcome).toBe('done')
    const begin = ['BEGIN', 'SET LOCAL lock_timeout', 'SELECT pg_advisory_xact_lock(7268101)']
    const end = ['UPDATE trimint_schema SET version = 2', 'COMMIT']
    const all = [...begin, ...expected, ...end]
    expect(scripts.map((text, at) => text.trimStart().slice(0, all[at]?.length))).toEqual(all)
    expect(scripts[1]).toBe("SET LOCAL lock_timeout = '4s'; SET LOCAL statement_timeout = '4s'")
  })

  test('rolls back a migration that fails', async () => {
    const { outcome, scripts } = await prepare({ version: 1 }, { failingScript: 'ALTER TABLE' })
    expect(outcome).toBe('script failed')
    expect(scripts.at(-1)).toBe('ROLLBACK')
  })
})
