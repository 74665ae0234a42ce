import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { afterAll, expect, test, vi } from 'vitest'
import { createMetrics } from '../../../src/observability/metrics.ts'
import { instrumentStores } from '../../../src/store/instrumented.ts'
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
 * Takes a lock from another thread and releases it a little later. SQLite treats that thread like another process,
 * and opening the file blocks this one.
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

/** Returns the statements that create a file of this version. */
function readSchema(): string {
  const database = openDatabase(':memory:')
  const statements = database
    .prepare(`SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'`)
    .all()
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  database.close()
  return [...statements.map(({ sql }) => sql), `PRAGMA user_version = ${version}`].join(';\n')
}

test('leaves no files on disk for a store in memory', () => {
  rmSync(':memory:', { force: true })
  openDatabase(':memory:').close()
  expect(existsSync(':memory:')).toBe(false)
})

test('restricts an existing file to its owner', () => {
  const file = newFile()
  writeFileSync(file, '')
  chmodSync(file, 0o644)
  openDatabase(file).close()
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('opens a file of this version at once while another process is writing to it', () => {
  const file = newFile()
  openDatabase(file).close()
  const other = new DatabaseSync(file)
  other.exec('BEGIN IMMEDIATE')
  const database = openDatabase(file)
  expect(database.prepare('SELECT count(*) AS count FROM tokens').get()).toEqual({ count: 0 })
  database.close()
  other.close()
})

test('waits for another process that is migrating the file, and uses the result', async () => {
  const file = newFile()
  new DatabaseSync(file).exec('PRAGMA journal_mode = WAL')
  await using _other = await holdAside(file, 'BEGIN IMMEDIATE', `${readSchema()}; COMMIT`)
  const database = openDatabase(file)
  expect(database.prepare('SELECT count(*) AS count FROM tokens').get()).toEqual({ count: 0 })
  database.close()
})

test('retries while another process holds an exclusive lock at start-up', async () => {
  const file = newFile()
  // The file is not in WAL mode yet: SQLite does not wait for a writer when it changes the mode.
  await using _other = await holdAside(file, 'BEGIN IMMEDIATE; CREATE TABLE other (value)', 'COMMIT')
  const database = openDatabase(file)
  expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
  database.close()
})

test('releases a file of a newer version that it rejects', () => {
  const file = newFile()
  const newer = new DatabaseSync(file)
  newer.exec('PRAGMA user_version = 99')
  expect(() => openDatabase(file)).toThrow(/^the store is of version 99, this release knows versions up to \d+$/)
  newer.exec('BEGIN EXCLUSIVE; COMMIT')
  newer.close()
})

test('opens no store that does not exist, and creates neither file nor folder, with create: false', () => {
  const missing = newFile()
  for (const file of [missing, join(missing, 'trimint.db')]) {
    expect(() => openDatabase(file, { create: false })).toThrow(`${file} does not exist`)
  }
  expect(existsSync(missing)).toBe(false)
})

test.each([
  ['an empty file', '', 'the file is not a store of Trimint'],
  [
    'a store of an older version',
    'PRAGMA user_version = 5',
    /^the store is of version 5, this release uses version \d+$/,
  ],
  [
    'a store of a newer version',
    'PRAGMA user_version = 99',
    /^the store is of version 99, this release uses version \d+$/,
  ],
])('rejects %s, and leaves its contents and mode, with create: false', (_what, sql, message) => {
  const file = newFile()
  const other = new DatabaseSync(file)
  other.exec(sql)
  other.close()
  chmodSync(file, 0o640)
  const before = readFileSync(file)
  expect(() => openDatabase(file, { create: false })).toThrow(message)
  expect(readFileSync(file)).toEqual(before)
  expect(statSync(file).mode & 0o777).toBe(0o640)
})

test('rejects a file that is not a database at once', () => {
  const file = newFile()
  writeFileSync(file, 'this is a text, and longer than the header of a database would be. '.repeat(20))
  const asked = performance.now()
  expect(() => openDatabase(file)).toThrow('file is not a database')
  expect(performance.now() - asked).toBeLessThan(5_000) // milliseconds; a locked file is retried for twice as long
})

/** Simulates a refusal by the system: tests may run as root, which is never refused. */
function refuse(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: no`), { code })
  }
}

test('rejects a file without read and write access before SQLite opens it', () => {
  const file = newFile()
  openDatabase(file).close()
  vi.mocked(accessSync).mockImplementationOnce(refuse('EACCES'))
  expect(() => openDatabase(file)).toThrow('EACCES')
  expect(vi.mocked(accessSync)).toHaveBeenLastCalledWith(file, constants.R_OK | constants.W_OK)
})

test('throws when the file cannot be created', () => {
  vi.mocked(openSync).mockImplementationOnce(refuse('EROFS'))
  expect(() => openDatabase(newFile())).toThrow('EROFS')
})

const DESCRIPTORS = '/proc/self/fd'

/** Lists this process's descriptors of a database: the file, its log and its index. */
function findOpen(file: string): string[] {
  const links = readdirSync(DESCRIPTORS).map((name) => {
    try {
      return readlinkSync(join(DESCRIPTORS, name))
    } catch {
      // The descriptor that this directory was read with, closed since.
      return ''
    }
  })
  return links.filter((link) => link.startsWith(file))
}

test.skipIf(!existsSync(DESCRIPTORS))('leaves no descriptor and no thread after a store was closed', async () => {
  const file = newFile()
  const countThreads = () => readdirSync('/proc/self/task').length
  // Node starts its thread pool for the first call that needs it.
  await stat(folder)
  const before = countThreads()
  const store = await openStores(`sqlite:${file}`)
  expect(findOpen(file)).not.toEqual([])
  expect(countThreads()).toBeGreaterThan(before)
  await store.close()
  await store.close()
  expect(findOpen(file)).toEqual([])
  expect(existsSync(`${file}-wal`), 'the log was copied into the database').toBe(false)
  await expect.poll(countThreads).toBe(before)
})

test('notices that its file was deleted, also where calls are measured; a store in memory has no file', async () => {
  const file = newFile()
  const stores = await openStores(`sqlite:${file}`)
  const measured = instrumentStores(stores, createMetrics(Date.now), Date.now)
  expect(await stores.isInPlace?.()).toBe(true)
  rmSync(file)
  expect(await stores.isInPlace?.()).toBe(false)
  expect(await measured.isInPlace?.()).toBe(false)
  await stores.close()
  const inMemory = await openStores('sqlite::memory:')
  expect(inMemory.isInPlace).toBeUndefined()
  expect(instrumentStores(inMemory, createMetrics(Date.now), Date.now)).not.toHaveProperty('isInPlace')
  await inMemory.close()
})

test('leaves no thread when a store cannot be opened, and rejects with the reason', async () => {
  const file = newFile()
  writeFileSync(file, 'this is a text, and longer than the header of a database would be. '.repeat(20))
  await expect(openStores(`sqlite:${file}`)).rejects.toThrow('file is not a database')
})

test('keeps ten stores in memory separate', async () => {
  const stores = await Promise.all(Array.from({ length: 10 }, () => openStores('sqlite::memory:')))
  await stores[0]?.failures.add('a', 1_000, 0)
  const counts = await Promise.all(stores.map(({ failures }) => failures.list(0, { blocks: 10, counts: 10 })))
  expect(counts.map(({ length }) => length)).toEqual([1, ...Array(9).fill(0)])
  await Promise.all(stores.map((store) => store.close()))
})
