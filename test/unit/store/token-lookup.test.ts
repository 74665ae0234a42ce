import type { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import {
  createTokenLookup,
  hasSessionDigest,
  hasTokenDigest,
  type TokenLookup,
} from '../../../src/store/sqlite/token-lookup.ts'

let database: DatabaseSync
let lookup: TokenLookup
beforeEach(() => {
  database = openDatabase(':memory:')
  lookup = createTokenLookup(database)
})
afterEach(() => database.close())

function insert(first: number, last: number): void {
  database.exec(
    `WITH RECURSIVE numbers (n) AS (SELECT ${first} UNION ALL SELECT n + 1 FROM numbers WHERE n < ${last})
     INSERT INTO main.tokens (token_digest, session_digest, operation, uaf_request, created_at, expires_at, response_lifetime)
     SELECT n || ' token of this number', n || ' session of this number', 'registration', '', 0, n, 0 FROM numbers`,
  )
}

const find = (condition: string, digest: string) =>
  database
    .prepare(`SELECT id FROM main.tokens WHERE ${condition}`)
    .all({ digest })
    .map(({ id }) => id)
const byToken = (number: number) => find(hasTokenDigest('$digest'), `${number} token of this number`)
const bySession = (number: number) => find(hasSessionDigest('$digest'), `${number} session of this number`)
const size = () => database.prepare('SELECT count(*) AS size FROM lookup.tokens').get()?.size

test('finds rows by either digest after it has read them', () => {
  insert(1, 1_000)
  expect(byToken(7)).toEqual([])
  lookup.catchUp()
  for (const number of [1, 7, 1_000]) {
    expect(byToken(number)).toEqual([number])
    expect(bySession(number)).toEqual([number])
  }
})

test('reads each row once', () => {
  insert(1, 10)
  lookup.catchUp()
  insert(11, 12)
  lookup.catchUp()
  lookup.catchUp()
  expect(size()).toBe(12)
})

test('forgets the rows of a transaction that is rolled back', () => {
  insert(1, 1)
  lookup.catchUp()
  database.exec('BEGIN')
  insert(2, 2)
  lookup.catchUp()
  database.exec('ROLLBACK')
  expect(size()).toBe(1)
  insert(3, 3)
  lookup.catchUp()
  expect(byToken(3)).toEqual([2])
})

test('searches the look-up table by its indexes', () => {
  const plans = [hasTokenDigest('$digest'), hasSessionDigest('$digest')].map((condition) =>
    database.prepare(`EXPLAIN QUERY PLAN SELECT id FROM main.tokens WHERE ${condition}`).all({ digest: 'any' }),
  )
  for (const plan of plans) for (const { detail } of plan) expect(detail).not.toMatch(/^SCAN/)
})

test('drops rows below the first row of the file, up to the limit, and none above', () => {
  insert(1, 10)
  lookup.catchUp()
  database.exec('DELETE FROM main.tokens WHERE id < 6')
  expect(lookup.tidy(3)).toBe(3)
  expect(lookup.tidy(3)).toBe(2)
  expect(lookup.tidy(3)).toBe(0)
  expect(size()).toBe(5)
  database.exec('DELETE FROM main.tokens')
  expect(lookup.tidy(100)).toBe(5)
  insert(11, 11)
  lookup.catchUp()
  expect(byToken(11)).toEqual([11])
})
