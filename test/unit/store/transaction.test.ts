import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Call } from '../../../src/store/sqlite/calls.ts'
import { createTransactions, type Transactions } from '../../../src/store/sqlite/transaction.ts'

let database: DatabaseSync
let transactions: Transactions

beforeEach(() => {
  database = new DatabaseSync(':memory:')
  database.exec(
    `CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT;
     CREATE TABLE children (parent INTEGER REFERENCES numbers DEFERRABLE INITIALLY DEFERRED) STRICT;
     CREATE TRIGGER full AFTER INSERT ON numbers WHEN NEW.number < 0 BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END`,
  )
  transactions = createTransactions(database, perform)
})
afterEach(() => database.close())

/** As SQLite reports a sync that failed: SQLITE_IOERR_FSYNC. */
const IO_ERROR = Object.assign(new Error('disk I/O error'), { errcode: 1034 })

function perform([, operation, ...values]: Call): unknown {
  if (operation === 'io') throw IO_ERROR
  if (operation === 'orphan') return database.exec('INSERT INTO children VALUES (77)')
  if (operation === 'count') return numbers().length
  for (const value of values) database.prepare('INSERT INTO numbers VALUES (?)').run(value as number)
  return values.length
}

const add = (...values: number[]): Call => ['numbers', 'add', ...values]
const numbers = () =>
  database
    .prepare('SELECT number FROM numbers')
    .all()
    .map(({ number }) => number)

test('commits all calls together, and returns the result of each', () => {
  expect(transactions.write(() => [add(1), add(2, 3)])).toEqual([{ value: 1 }, { value: 2 }])
  expect(database.isTransaction).toBe(false)
  expect(numbers()).toEqual([1, 2, 3])
})

test('undoes the whole of a call that fails, and commits the others', () => {
  const outcomes = transactions.write(() => [add(1), add(2, 1), add(3)])
  expect(outcomes).toEqual([{ value: 1 }, { error: expect.any(Error) }, { value: 1 }])
  expect(numbers()).toEqual([1, 3])
})

test.each([
  ['SQLite ends the transaction', add(-1), 'the disk is full'],
  ['the commit fails', ['numbers', 'orphan'] as Call, 'FOREIGN KEY constraint failed'],
])('fails every call when %s, and works afterwards', (_, call, message) => {
  const outcomes = transactions.write(() => [add(1), call, add(2)])
  expect(outcomes).toHaveLength(3)
  for (const outcome of outcomes ?? []) expect(outcome).toMatchObject({ error: { message } })
  expect(database.isTransaction).toBe(false)
  expect(transactions.write(() => [add(4)])).toEqual([{ value: 1 }])
  expect(numbers()).toEqual([4])
})

test('throws an I/O error of a call, whatever else is in the transaction', () => {
  expect(() => transactions.write(() => [add(1), ['numbers', 'io']])).toThrow(IO_ERROR)
  expect(() => transactions.read(['numbers', 'io'])).toThrow(IO_ERROR)
})

test('reads without a transaction, and returns an error as an outcome', () => {
  expect(transactions.read(['numbers', 'count'])).toEqual({ value: 0 })
  database.exec('DROP TABLE children; DROP TABLE numbers')
  expect(transactions.read(['numbers', 'count'])).toMatchObject({ error: { message: 'no such table: numbers' } })
})

test('fails every call when the transaction cannot begin', () => {
  database.exec('BEGIN')
  const outcomes = transactions.write(() => [add(1), add(2)])
  expect(outcomes).toHaveLength(2)
  expect(outcomes?.[0]).toMatchObject({ error: { message: expect.stringContaining('within a transaction') } })
})
