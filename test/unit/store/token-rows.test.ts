import type { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import { createTokenRows, type TokenRows } from '../../../src/store/sqlite/token-rows.ts'

/** More than are read at a time, and more than one segment of the index has. */
const MANY = 70_000

function insert(database: DatabaseSync, rows: number): void {
  database.exec(
    `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${rows})
     INSERT INTO tokens (token_digest, session_digest, operation, uaf_request, created_at, expires_at, response_lifetime)
     SELECT 'token ' || n, 'session ' || n, 'registration', '', 0, n, 0 FROM numbers`,
  )
}

const rowOf = (rows: TokenRows, digest: string) => rows.find(digest, (row) => row)

test('what is in the file is read, page after page, and not again', () => {
  const database = openDatabase(':memory:')
  insert(database, MANY)
  const rows = createTokenRows(database)
  expect(rowOf(rows, 'token 1')).toBeUndefined()
  rows.catchUp()
  for (const number of [1, 4_096, 4_097, MANY]) {
    expect(rowOf(rows, `token ${number}`)).toBe(number)
    expect(rowOf(rows, `session ${number}`)).toBe(number)
  }
  rows.catchUp()
  const seen: number[] = []
  rows.find('token 5', (row) => void seen.push(row))
  expect(seen).toEqual([5])
  database.close()
})

test('what a transaction adds is there at once, and stays only where that is committed', () => {
  const database = openDatabase(':memory:')
  const rows = createTokenRows(database)
  rows.add(1, 'token', 'session')
  expect(rowOf(rows, 'token')).toBe(1)
  rows.end(false)
  expect(rowOf(rows, 'token')).toBeUndefined()
  rows.add(1, 'another', 'its session')
  rows.end(true)
  rows.end(false)
  expect(rowOf(rows, 'another')).toBe(1)
  expect(rowOf(rows, 'its session')).toBe(1)
  expect(rowOf(rows, 'session')).toBeUndefined()
  database.close()
})

test('what was added is not read again', () => {
  const database = openDatabase(':memory:')
  const rows = createTokenRows(database)
  insert(database, 1)
  rows.add(1, 'token 1', 'session 1')
  rows.end(true)
  rows.catchUp()
  const seen: number[] = []
  rows.find('token 1', (row) => void seen.push(row))
  expect(seen).toEqual([1])
  database.close()
})

test('the memory of rows that are gone is given back, that of one that stays is not', () => {
  const database = openDatabase(':memory:')
  insert(database, MANY)
  const rows = createTokenRows(database)
  rows.catchUp()
  database.exec('DELETE FROM tokens WHERE id > 1')
  rows.tidy()
  expect(rowOf(rows, 'token 1')).toBe(1)
  expect(rowOf(rows, `token ${MANY}`)).toBeUndefined()
  database.exec('DELETE FROM tokens')
  rows.tidy()
  expect(rowOf(rows, 'token 1')).toBeUndefined()
  database.close()
})
