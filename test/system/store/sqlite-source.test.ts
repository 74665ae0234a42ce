import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test, vi } from 'vitest'
import { openStores } from '../../../src/store/open-stores.ts'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import { openSqliteSource } from '../../../src/store/sqlite/source.ts'
import { NOW } from '../../support/records.ts'
import { createStoreFolder } from '../../support/stores.ts'

// The file that `trimint store copy` reads, and then closes to its servers.

const folder = createStoreFolder('source')
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
function createFile(): string {
  const file = join(folder, `${made++}.db`)
  openDatabase(file).close()
  return file
}

function canWrite(file: string): boolean {
  using other = new DatabaseSync(file)
  try {
    other.exec('BEGIN IMMEDIATE; ROLLBACK')
    return true
  } catch {
    return false
  }
}

test('keeps the write lock while a move finishes, and leaves a file that no release opens', async () => {
  const file = createFile()
  const source = openSqliteSource(file)
  const finish = vi.fn(async () => expect(canWrite(file)).toBe(false))
  await source.move(finish)
  source.close()
  expect(finish).toHaveBeenCalledTimes(1)
  for (const create of [true, false]) {
    expect(() => openDatabase(file, { create })).toThrow(/^`trimint store copy` has moved its records to another store/)
  }
})

test('releases the lock and changes nothing where the move cannot finish', async () => {
  const file = createFile()
  const source = openSqliteSource(file)
  const failure = new Error('the target is gone')
  await expect(source.move(() => Promise.reject(failure))).rejects.toBe(failure)
  expect(canWrite(file)).toBe(true)
  expect([...source.records.tokens()]).toEqual([])
  source.close()
  openDatabase(file, { create: false }).close()
})

test('waits for the lock of another process', async () => {
  const file = createFile()
  const source = openSqliteSource(file)
  using other = new DatabaseSync(file)
  other.exec('BEGIN IMMEDIATE')
  const finish = vi.fn(async () => undefined)
  const moved = source.move(finish)
  await sleep(50)
  expect(finish).not.toHaveBeenCalled()
  other.exec('ROLLBACK')
  await moved
  expect(finish).toHaveBeenCalledTimes(1)
  source.close()
})

test('fails at once where the lock cannot be had for another reason', async () => {
  const source = openSqliteSource(createFile())
  source.close()
  const finish = vi.fn(async () => undefined)
  await expect(source.move(finish)).rejects.toThrow('database is not open')
  expect(finish).not.toHaveBeenCalled()
})

test('tells blocks from counts of failed attempts', async () => {
  const file = createFile()
  const { failures, close } = await openStores(`sqlite:${file}`)
  for (const key of ['a', 'b']) await failures.add(key, 1_000, NOW)
  await failures.block('b', NOW + 2_000, NOW)
  await close()
  const source = openSqliteSource(file)
  expect([...source.records.failures()].map(({ key, isBlock }) => [key, isBlock]).toSorted()).toEqual([
    ['a', false],
    ['b', true],
  ])
  source.close()
})
