import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { openStores } from '../../../src/store/open-stores.ts'
import { MIGRATIONS } from '../../../src/store/sqlite/migrations.ts'
import { createRecord, LIFETIME_MS, NOW } from '../../support/records.ts'
import { createStoreFolder } from '../../support/stores.ts'

const EXPIRY = NOW + LIFETIME_MS
const folder = createStoreFolder('migration')
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0

/** Creates a file of version 5 and returns a connection like those of that release. */
function openVersion5() {
  const file = join(folder, `${made++}.db`)
  const database = new DatabaseSync(file)
  database.exec(`PRAGMA journal_mode = WAL; ${MIGRATIONS.slice(0, 5).join('')}; PRAGMA user_version = 5`)
  // The statements of version 5.
  const revoke = database.prepare('INSERT INTO revocations (subject, issued_until, expires) VALUES (?, ?, ?)')
  const create = database.prepare(
    `INSERT INTO tokens (token_digest, session_digest, operation, uaf_request, created_at, expires_at, response_lifetime)
     VALUES (?, ?, 'registration', '', ${NOW}, ${EXPIRY}, 1000)`,
  )
  const redeem = database.prepare(
    'UPDATE tokens SET redeemed_at = ? WHERE id = ? AND token_digest = ? AND redeemed_at IS NULL RETURNING redeemed_at',
  )
  return { file, database, revoke, create, redeem, [Symbol.dispose]: () => database.close() }
}

test('merges the rows of each revoked subject of version 5, with the latest times, and keeps cursors valid', async () => {
  const { file, database, revoke, create } = openVersion5()
  create.run('token', 'session')
  revoke.run('token a', NOW, EXPIRY + 9)
  revoke.run('token b', NOW, EXPIRY)
  revoke.run('token a', NOW + 5, EXPIRY)
  revoke.run('token swept', NOW, EXPIRY)
  database.exec(`DELETE FROM revocations WHERE subject = 'token swept'`)
  database.close()

  const stores = await openStores(`sqlite:${file}`)
  expect(await stores.revocations.since(undefined)).toEqual({
    revocations: [
      { subject: 'token b', issuedUntil: NOW, expires: EXPIRY },
      { subject: 'token a', issuedUntil: NOW + 5, expires: EXPIRY + 9 },
    ],
    cursor: '3',
    complete: true,
  })
  expect((await stores.tokens.redeem('token', 'registration', NOW)).outcome).toBe('redeemed')
  await stores.revocations.add({ subject: 'token c', issuedUntil: NOW, expires: EXPIRY }, NOW)
  // Number 4 was swept. A reader that has seen it must still get later revocations.
  expect(await stores.revocations.since('4')).toMatchObject({ revocations: [{ subject: 'token c' }], cursor: '5' })
  await stores.close()
})

test('works beside a process of version 5 that is still running', async () => {
  using old = openVersion5()
  old.create.run('before', 'session before')
  old.revoke.run('account a', NOW, EXPIRY)
  const stores = await openStores(`sqlite:${old.file}`)
  old.create.run('after', 'session after')
  old.revoke.run('account a', NOW + 1, EXPIRY)
  old.revoke.run('account b', NOW + 1, EXPIRY)
  const { revocations } = await stores.revocations.since('1')
  expect(revocations.map(({ subject, issuedUntil }) => [subject, issuedUntil])).toEqual([
    ['account a', NOW + 1],
    ['account b', NOW + 1],
  ])
  for (const [id, digest] of [
    [1, 'before'],
    [2, 'after'],
  ] as const) {
    expect(old.redeem.get(NOW, id, digest)).toEqual({ redeemed_at: NOW })
    expect((await stores.tokens.redeem(digest, 'registration', NOW)).outcome).toBe('spent')
  }
  expect((await stores.tokens.findBySession('session after', NOW))?.tokenDigest).toBe('after')
  await stores.close()
})

test('counts failed attempts together with a process of version 5 that is still running', async () => {
  using old = openVersion5()
  const add = old.database.prepare(
    `INSERT INTO failures (key, failures, expires) VALUES ('a', 1, ${EXPIRY})
     ON CONFLICT (key) DO UPDATE SET failures = failures + 1`,
  )
  add.run()
  const stores = await openStores(`sqlite:${old.file}`)
  add.run()
  expect(await stores.failures.add('a', 1_000, NOW)).toEqual({ key: 'a', failures: 3, expires: EXPIRY })
  await stores.failures.block('a', EXPIRY, NOW)
  add.run()
  expect(await stores.failures.list(NOW, { blocks: 1, counts: 0 })).toMatchObject([{ key: 'a', failures: 4 }])
  await stores.close()
})

test('counts tokens without a client: those in the file, and those that version 5 still creates', async () => {
  using old = openVersion5()
  old.create.run('before', 'session before')
  const stores = await openStores(`sqlite:${old.file}`)
  old.create.run('after', 'session after')
  const record = createRecord({ username: undefined, client: undefined, uafRequest: '[]' })
  expect(await stores.tokens.create(record, { maxRecords: 2, maxBytes: 100 })).toBe(false)
  expect(await stores.tokens.create(record, { maxRecords: 3, maxBytes: 100 })).toBe(true)
  await stores.close()
})

test('marks the file with a version that version 5 rejects', async () => {
  using old = openVersion5()
  const stores = await openStores(`sqlite:${old.file}`)
  await stores.close()
  expect(old.database.prepare('PRAGMA user_version').get()).toEqual({ user_version: MIGRATIONS.length })
})
