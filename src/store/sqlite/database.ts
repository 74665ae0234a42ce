import { accessSync, chmodSync, closeSync, constants, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Each entry brings a database one version further; an entry that has been released never changes. */
const MIGRATIONS = [
  `CREATE TABLE failures (key TEXT PRIMARY KEY, failures INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX failures_by_expiry ON failures (expires);`,
  // With a rowid: records are added at the end of the table, and only the small indexes are written all over.
  `CREATE TABLE tokens (
     token_digest TEXT NOT NULL UNIQUE,
     session_digest TEXT NOT NULL,
     operation TEXT NOT NULL,
     username TEXT,
     client TEXT,
     uaf_request TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     response_lifetime INTEGER NOT NULL,
     redeemed_at INTEGER,
     revoked_at INTEGER
   ) STRICT;
   CREATE INDEX tokens_by_session ON tokens (session_digest);
   CREATE INDEX tokens_by_expiry ON tokens (expires_at);`,
  // AUTOINCREMENT: a number is never given twice, so that whoever has read up to one has missed nothing.
  `CREATE TABLE revocations (
     number INTEGER PRIMARY KEY AUTOINCREMENT,
     subject TEXT NOT NULL,
     issued_until INTEGER NOT NULL,
     expires INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX revocations_by_expiry ON revocations (expires);
   CREATE TABLE uses (
     token_id TEXT PRIMARY KEY,
     count INTEGER NOT NULL DEFAULT 0,
     last_use INTEGER,
     expires INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX uses_by_expiry ON uses (expires);`,
  `CREATE TABLE replicas (
     id TEXT PRIMARY KEY,
     instance TEXT NOT NULL,
     keys TEXT NOT NULL,
     expires INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE signing_keys (fingerprint TEXT PRIMARY KEY, needed_until INTEGER NOT NULL) STRICT, WITHOUT ROWID;`,
  // Digests are looked up in memory (row-index.ts). AUTOINCREMENT: whoever has read the rows up to one misses none that comes later.
  // The names stay what they were: processes of an earlier version that still run go on with it.
  `CREATE TABLE tokens_in_order (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     token_digest TEXT NOT NULL,
     session_digest TEXT NOT NULL,
     operation TEXT NOT NULL,
     username TEXT,
     client TEXT,
     uaf_request TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     response_lifetime INTEGER NOT NULL,
     redeemed_at INTEGER,
     revoked_at INTEGER
   ) STRICT;
   INSERT INTO tokens_in_order
     SELECT rowid, token_digest, session_digest, operation, username, client, uaf_request, created_at, expires_at,
       response_lifetime, redeemed_at, revoked_at
     FROM tokens ORDER BY rowid;
   DROP TABLE tokens;
   ALTER TABLE tokens_in_order RENAME TO tokens;
   CREATE INDEX tokens_by_expiry ON tokens (expires_at);`,
]

/**
 * How long opening waits for another process to finish, in milliseconds: several of a new version may start at once, and nobody is
 * waiting for an answer yet. What a store waits for afterwards, it says itself.
 */
const OPENING_TIMEOUT = 10_000

/** Milliseconds between two attempts to open a file that is locked. */
const PAUSE = 20

/**
 * Opens the embedded store, readable by its owner alone, and brings it to this version.
 *
 * @param path a file, or `:memory:`.
 * @throws Error for a file of a newer version, and for what is no database.
 */
export function openDatabase(path: string): DatabaseSync {
  if (path !== ':memory:') {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    createFile(path)
    // SQLite gives its side files the mode of the database itself.
    chmodSync(path, 0o600)
  }
  const database = new DatabaseSync(path, { timeout: OPENING_TIMEOUT })
  try {
    retryOpenWhileLocked(() => database.exec('PRAGMA journal_mode = WAL'))
    migrate(database)
  } catch (error) {
    database.close()
    throw error
  }
  return database
}

/**
 * A file that is there is not even opened: closing it would take away every lock that this process has on it (POSIX), through whichever
 * connection. The next process that closes the store would then take itself for the last, and the log of what is written away
 * from those that still write.
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
 * Takes a step again while another process that starts or stops has the whole file: for that lock SQLite does not wait by itself, however
 * long it is told to.
 */
function retryOpenWhileLocked(step: () => void): void {
  for (let left = OPENING_TIMEOUT / PAUSE; ; left--) {
    try {
      step()
      return
    } catch (error) {
      if (!isBusy(error) || left <= 0) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE)
    }
  }
}

/** SQLite's result code for a file that another process has locked; extended codes hold it in their lowest byte. */
const SQLITE_BUSY = 5

export function isBusy(error: unknown): boolean {
  return (((error as { errcode?: number }).errcode ?? 0) & 0xff) === SQLITE_BUSY
}

function migrate(database: DatabaseSync): void {
  // As a rule there is nothing to do, and nobody has to wait for anybody.
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

function readVersion(database: DatabaseSync): number {
  return (database.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
}
