import { accessSync, chmodSync, closeSync, constants, existsSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MIGRATIONS } from './migrations.ts'

/** Several processes of a new version may start at once, and each waits while another one migrates. */
const OPEN_TIMEOUT_MS = 10_000

const RETRY_PAUSE_MS = 20

/**
 * Opens the embedded store for writing, readable by its owner only, and migrates it to this version. A commit returns
 * after SQLite has synced it: `synchronous = FULL` also syncs the folder when SQLite creates the log
 * (sqlite.org/pragma.html#pragma_synchronous).
 *
 * @param path a file, or `:memory:`.
 * @param options `create: false` requires a file of this version, and changes neither its mode nor its schema.
 * @throws Error for a file of a newer version, and for a file that is not a database.
 */
export function openDatabase(path: string, { create = true }: { create?: boolean } = {}): DatabaseSync {
  if (!create) {
    if (!existsSync(path)) throw new Error(`${path} does not exist`)
  } else if (path !== ':memory:') {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    createFile(path)
    // SQLite gives its side files the mode of the database file.
    chmodSync(path, 0o600)
  }
  const database = new DatabaseSync(path, { timeout: OPEN_TIMEOUT_MS })
  try {
    const journal = create ? 'PRAGMA journal_mode = WAL; ' : ''
    retryOpenWhileLocked(() => database.exec(`${journal}PRAGMA synchronous = FULL; PRAGMA user_version`))
    if (create) migrate(database)
    else requireCurrent(database)
    // From here on the callers wait for locks themselves.
    database.exec('PRAGMA busy_timeout = 0')
  } catch (error) {
    database.close()
    throw error
  }
  return database
}

/**
 * Does not open an existing file: closing any descriptor drops all of this process's POSIX locks on it
 * (sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
 */
function createFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    accessSync(path, constants.R_OK | constants.W_OK)
  }
}

/**
 * Repeats a step while the file is locked. SQLite's timeout does not cover the lock of a process that starts or stops.
 */
function retryOpenWhileLocked(step: () => void): void {
  for (let left = OPEN_TIMEOUT_MS / RETRY_PAUSE_MS; ; left--) {
    try {
      step()
      return
    } catch (error) {
      if (!isBusy(error) || left <= 0) throw error
      pauseThread(RETRY_PAUSE_MS)
    }
  }
}

/** Blocks this thread. */
export function pauseThread(pauseMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs)
}

/** Result codes of SQLite (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5
/** Extended result codes of a failed fsync of a file and of a folder. */
const SYNC_FAILURES: readonly unknown[] = [1034, 1290]

/** Returns whether another process has locked the file. */
export function isBusy(error: unknown): boolean {
  return primaryCode(error) === SQLITE_BUSY
}

/**
 * Returns whether the operating system failed to sync. It reports lost writes once, so only a recovery from the file
 * can tell what is durable. After any other failure SQLite rolls back, and the connection can go on.
 */
export function isSyncFailure(error: unknown): boolean {
  return SYNC_FAILURES.includes((error as { errcode?: number } | undefined)?.errcode)
}

/** Returns the primary result code: the lowest byte of an extended one. */
function primaryCode(error: unknown): number {
  return ((error as { errcode?: number } | undefined)?.errcode ?? 0) & 0xff
}

function migrate(database: DatabaseSync): void {
  // The usual case takes no lock.
  if (readVersion(database) === MIGRATIONS.length) return
  database.exec('BEGIN IMMEDIATE')
  const version = readVersion(database)
  if (version > MIGRATIONS.length) {
    throw new Error(`the store is of version ${version}, this release knows versions up to ${MIGRATIONS.length}`)
  }
  for (const migration of MIGRATIONS.slice(version)) database.exec(migration)
  database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
  database.exec('COMMIT')
}

function requireCurrent(database: DatabaseSync): void {
  const version = readVersion(database)
  if (version === MIGRATIONS.length) return
  if (version === 0) throw new Error('the file is not a store of Trimint')
  throw new Error(`the store is of version ${version}, this release uses version ${MIGRATIONS.length}`)
}

/** The version of a file whose records were moved to another store. */
export const MOVED_VERSION = 1_000_000

/** @throws Error for a file whose records were moved. */
function readVersion(database: DatabaseSync): number {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  if (version !== MOVED_VERSION) return version
  throw new Error('`trimint store copy` has moved its records to another store; expected the URL of that store')
}
