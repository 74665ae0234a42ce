import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { createGroupCommit, patiently } from '../../src/store/group-commit.ts'

/** More than one group takes. */
const MANY = 300

function createTable() {
  const database = new DatabaseSync(':memory:')
  // As a disk that fails: SQLite ends the transaction at once.
  database.exec(
    `CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT;
     CREATE TRIGGER broken AFTER INSERT ON numbers WHEN NEW.number < 0 BEGIN SELECT RAISE(ROLLBACK, 'the disk is broken'); END`,
  )
  const insert = database.prepare('INSERT INTO numbers VALUES (?)')
  const count = () => (database.prepare('SELECT count(*) AS count FROM numbers').get() as { count: number }).count
  return { database, insert, count }
}

test('a group that the disk refuses takes nothing along of the next one, which was waiting behind it', async () => {
  const { database, insert, count } = createTable()
  const group = createGroupCommit(database)
  const numbers = Array.from({ length: MANY }, (_, at) => (at === 0 ? -1 : at))
  const results = await Promise.allSettled(numbers.map((number) => group.write(() => insert.run(number))))
  const refused = results.filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(256)
  expect(refused[0]).toMatchObject({ reason: { message: 'the disk is broken' } })
  expect(count()).toBe(MANY - 256)
  database.close()
})

test('each step is answered with its own result, over several groups', async () => {
  const { database, insert } = createTable()
  const group = createGroupCommit(database)
  const numbers = Array.from({ length: MANY }, (_, at) => at)
  const results = await Promise.all(numbers.map((number) => group.write(() => insert.run(number).lastInsertRowid)))
  expect(results).toEqual(numbers)
  database.close()
})

test('a step that fails for any other reason than a lock is not tried again', async () => {
  let tries = 0
  const step = () => {
    tries += 1
    throw new Error('no such table')
  }
  await expect(patiently(step)).rejects.toThrow('no such table')
  expect(tries).toBe(1)
})
