import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { afterAll, expect, test, vi } from 'vitest'
import { openStores } from '../../../src/store/open-stores.ts'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import { createStoreFolder } from '../../support/stores.ts'

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  return { ...fs, openSync: vi.fn(fs.openSync), accessSync: vi.fn(fs.accessSync) }
})

const folder = createStoreFolder('database')
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const newFile = () => join(folder, `${made++}.db`)

/**
 * Another process, as far as SQLite is concerned: it takes a lock, and goes on by itself a little later, while whoever opens the same
 * file waits without a turn of the event loop.
 */
async function holdAside(file: string, take: string, letGo: string): Promise<AsyncDisposable> {
  const worker = new Worker(
    `const { DatabaseSync } = require('node:sqlite')
     const { parentPort, workerData } = require('node:worker_threads')
     const database = new DatabaseSync(workerData.file, { timeout: 5000 })
     database.exec(workerData.take)
     parentPort.postMessage('taken')
     Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
     database.exec(workerData.letGo)
     database.close()`,
    { eval: true, workerData: { file, take, letGo } },
  )
  const gone = new Promise((done) => worker.once('exit', done))
  await new Promise((taken) => worker.once('message', taken))
  return { [Symbol.asyncDispose]: async () => void (await gone) }
}

/** What a file of this version holds, as statements that make another one so. */
function readSchema(): string {
  const database = openDatabase(':memory:')
  const statements = database
    .prepare(`SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'`)
    .all()
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  database.close()
  return [...statements.map(({ sql }) => sql), `PRAGMA user_version = ${version}`].join(';\n')
}

test('a store in memory leaves nothing on the disk', () => {
  rmSync(':memory:', { force: true })
  openDatabase(':memory:').close()
  expect(existsSync(':memory:')).toBe(false)
})

test('a file that others could read is for its owner alone from then on', () => {
  const file = newFile()
  writeFileSync(file, '')
  chmodSync(file, 0o644)
  openDatabase(file).close()
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('a file of this version is opened at once, whoever is writing to it', () => {
  const file = newFile()
  openDatabase(file).close()
  const other = new DatabaseSync(file)
  other.exec('BEGIN IMMEDIATE')
  const database = openDatabase(file)
  expect(database.prepare('SELECT count(*) AS count FROM tokens').get()).toEqual({ count: 0 })
  database.close()
  other.close()
})

test('a file that another process brings to this version meanwhile is waited for, and taken as it is then', async () => {
  const file = newFile()
  new DatabaseSync(file).exec('PRAGMA journal_mode = WAL')
  await using _other = await holdAside(file, 'BEGIN IMMEDIATE', `${readSchema()}; COMMIT`)
  const database = openDatabase(file)
  expect(database.prepare('SELECT count(*) AS count FROM tokens').get()).toEqual({ count: 0 })
  database.close()
})

test('a file that another process has for itself while it starts is tried again until it is let go', async () => {
  const file = newFile()
  // Not yet one that is written ahead: to make it one, SQLite does not wait for whoever is writing.
  await using _other = await holdAside(file, 'BEGIN IMMEDIATE; CREATE TABLE other (value)', 'COMMIT')
  const database = openDatabase(file)
  expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
  database.close()
})

test('what cannot be opened is let go: a file of a newer version can be written by whoever knows it', () => {
  const file = newFile()
  const newer = new DatabaseSync(file)
  newer.exec('PRAGMA user_version = 99')
  expect(() => openDatabase(file)).toThrow(/^the store is of version 99, this release knows versions up to \d+$/)
  newer.exec('BEGIN EXCLUSIVE; COMMIT')
  newer.close()
})

test('what is no database is refused at once', () => {
  const file = newFile()
  writeFileSync(file, 'this is a text, and longer than the header of a database would be. '.repeat(20))
  const asked = performance.now()
  expect(() => openDatabase(file)).toThrow('file is not a database')
  expect(performance.now() - asked).toBeLessThan(5_000) // milliseconds: half of what a locked file is tried for
})

/** What the system says to somebody who may not; whoever runs the tests may do everything. */
function refuse(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: no`), { code })
  }
}

test('a file that this user may not read and write is refused before SQLite looks at it', () => {
  const file = newFile()
  openDatabase(file).close()
  vi.mocked(accessSync).mockImplementationOnce(refuse('EACCES'))
  expect(() => openDatabase(file)).toThrow('EACCES')
  expect(vi.mocked(accessSync)).toHaveBeenLastCalledWith(file, constants.R_OK | constants.W_OK)
})

test('a file that cannot be made is an error', () => {
  vi.mocked(openSync).mockImplementationOnce(refuse('EROFS'))
  expect(() => openDatabase(newFile())).toThrow('EROFS')
})

const DESCRIPTORS = '/proc/self/fd'

/** What this process has open of a database: the file itself, its log, its index. */
function findOpen(file: string): string[] {
  const links = readdirSync(DESCRIPTORS).map((name) => {
    try {
      return readlinkSync(join(DESCRIPTORS, name))
    } catch {
      // The one that the folder itself was read by.
      return ''
    }
  })
  return links.filter((link) => link.startsWith(file))
}

test.skipIf(!existsSync(DESCRIPTORS))('a closed store leaves no descriptor and no thread', async () => {
  const file = newFile()
  const countThreads = () => readdirSync('/proc/self/task').length
  const before = countThreads()
  const store = await openStores(`sqlite:${file}`)
  expect(findOpen(file)).not.toEqual([])
  expect(countThreads()).toBeGreaterThan(before)
  await store.close()
  await store.close()
  expect(findOpen(file)).toEqual([])
  expect(existsSync(`${file}-wal`), 'the log is copied into the database').toBe(false)
  await expect.poll(countThreads).toBe(before)
})

test('a store that cannot be opened leaves no thread, and rejects with the reason', async () => {
  const file = newFile()
  writeFileSync(file, 'this is a text, and longer than the header of a database would be. '.repeat(20))
  await expect(openStores(`sqlite:${file}`)).rejects.toThrow('file is not a database')
})

test('ten stores in memory do not see each other', async () => {
  const stores = await Promise.all(Array.from({ length: 10 }, () => openStores('sqlite::memory:')))
  await stores[0]?.failures.add('a', 1_000, 0)
  const counts = await Promise.all(stores.map(({ failures }) => failures.list(0, 10)))
  expect(counts.map(({ length }) => length)).toEqual([1, ...Array(9).fill(0)])
  await Promise.all(stores.map((store) => store.close()))
})
