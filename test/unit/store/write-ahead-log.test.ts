import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import { openWriteAheadLog } from '../../../src/store/sqlite/write-ahead-log.ts'

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  return { ...fs, openSync: vi.fn(fs.openSync), fsyncSync: vi.fn(fs.fsyncSync), closeSync: vi.fn(fs.closeSync) }
})
beforeEach(vi.clearAllMocks)

const folder = mkdtempSync(join(tmpdir(), 'trimint-log-'))
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const newFile = () => join(folder, `${made++}.db`)

test('what may be lost of it is brought over into the database, and it is begun anew', () => {
  const path = newFile()
  const database = openDatabase(path)
  database.exec('CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT; INSERT INTO numbers VALUES (1)')
  const log = openWriteAheadLog(path)
  log.rescue(database)
  expect(database.prepare('PRAGMA wal_checkpoint(PASSIVE)').get()).toMatchObject({ log: 0, checkpointed: 0 })
  log.close()
  database.close()
})

test('it is not begun anew under somebody who reads it: that is an error', () => {
  const path = newFile()
  const [database, reader] = [openDatabase(path), openDatabase(path)]
  const log = openWriteAheadLog(path)
  database.exec('PRAGMA busy_timeout = 0; CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT')
  reader.exec('BEGIN; SELECT * FROM numbers')
  reader.prepare('SELECT count(*) FROM numbers').get()
  database.exec('INSERT INTO numbers VALUES (1)')
  expect(() => log.rescue(database)).toThrow('what the disk has lost cannot be written again yet')
  reader.exec('COMMIT')
  log.rescue(database)
  log.close()
  for (const one of [database, reader]) one.close()
})

test('it is the one beside the file that a link leads to', async () => {
  const path = newFile()
  const link = join(folder, 'link.db')
  symlinkSync(path, link)
  openDatabase(path).close()
  const database = openDatabase(link)
  const log = openWriteAheadLog(link)
  await log.sync()
  log.close()
  database.close()
})

test('the folder that names it is brought to the disk, and let go', () => {
  const path = newFile()
  const database = openDatabase(path)
  vi.clearAllMocks()
  const log = openWriteAheadLog(path)
  const opened = vi.mocked(openSync).mock
  expect(opened.calls[0]?.[0]).toBe(folder)
  const descriptor = opened.results[0]?.value as number
  expect(vi.mocked(fsyncSync).mock.calls).toEqual([[descriptor]])
  expect(vi.mocked(closeSync).mock.calls).toEqual([[descriptor]])
  log.close()
  database.close()
})

test('a folder that cannot be brought to the disk is an error, and let go as well', () => {
  const path = newFile()
  const database = openDatabase(path)
  vi.clearAllMocks()
  vi.mocked(fsyncSync).mockImplementationOnce(() => {
    throw new Error('the disk is broken')
  })
  expect(() => openWriteAheadLog(path)).toThrow('the disk is broken')
  expect(vi.mocked(closeSync)).toHaveBeenCalledTimes(1)
  database.close()
})

test('once it is closed, nothing can be brought to the disk', async () => {
  const path = newFile()
  const database = openDatabase(path)
  const log = openWriteAheadLog(path)
  log.close()
  await expect(log.sync()).rejects.toThrow('EBADF')
  database.close()
})

test('in memory there is none', async () => {
  const log = openWriteAheadLog(':memory:')
  await log.sync()
  log.close()
})
