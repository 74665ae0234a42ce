import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Credential } from '../../core/ports/credential-store.ts'
import type { FailureCount } from '../../core/ports/failed-attempt-store.ts'
import type { NeededUntil } from '../../core/ports/instance-store.ts'
import type { Revocation } from '../../core/ports/revocation-store.ts'
import type { TokenRecord } from '../../core/ports/token-store.ts'
import { CREDENTIAL_COLUMNS, toCredential } from './credential-row.ts'
import { isBusy, MOVED_VERSION, openDatabase } from './database.ts'
import { TOKEN_COLUMNS, toRecord } from './token-store.ts'

/** How often a signed token was used, and when last. Times are milliseconds since the epoch. */
export interface UsageRecord {
  readonly tokenId: string
  readonly count: number
  readonly lastUse: number | undefined
  /** When the token expires. */
  readonly expires: number
}

export interface FailureRecord extends FailureCount {
  readonly isBlock: boolean
}

/** Reads the records of a store. Each iteration reads a table as it is then. */
export interface StoreRecords {
  tokens(): Iterable<TokenRecord>
  uses(): Iterable<UsageRecord>
  revocations(): Iterable<Revocation>
  failures(): Iterable<FailureRecord>
  credentials(): Iterable<Credential>
  neededUntil(): NeededUntil
}

/** An SQLite file whose records are copied while servers use it. */
export interface SqliteSource {
  readonly records: StoreRecords
  /**
   * Stops all writes of the servers while `finish` runs, and then all use of the file for good: their calls reject as
   * without a store, and no server can open it again. Where `finish` rejects, the servers continue as before.
   *
   * @throws Error of `finish`, and where another process keeps the write lock for ten seconds.
   */
  move(finish: () => Promise<void>): Promise<void>
  close(): void
}

const LOCK_ATTEMPTS = 1_000
const LOCK_PAUSE_MS = 10

/** @throws Error for a file that does not exist, or that another release has created. */
export function openSqliteSource(path: string): SqliteSource {
  const database = openDatabase(path, { create: false })
  return {
    records: readRecords(database),
    async move(finish) {
      await begin(database)
      try {
        await finish()
        for (const name of tablesOf(database)) database.exec(`ALTER TABLE ${name} RENAME TO moved_${name}`)
        database.exec(`PRAGMA user_version = ${MOVED_VERSION}; COMMIT`)
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK')
        throw error
      }
    },
    close: () => database.close(),
  }
}

/** Takes the write lock. */
async function begin(database: DatabaseSync): Promise<void> {
  for (let left = LOCK_ATTEMPTS; ; left--) {
    try {
      database.exec('BEGIN IMMEDIATE')
      return
    } catch (error) {
      if (!isBusy(error) || left === 0) throw error
    }
    await sleep(LOCK_PAUSE_MS)
  }
}

function tablesOf(database: DatabaseSync): string[] {
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
  return tables.all().map(({ name }) => String(name))
}

function readRecords(database: DatabaseSync): StoreRecords {
  function* iterate<Item>(sql: string, toItem: (row: Record<string, SQLOutputValue>) => Item | undefined) {
    for (const row of database.prepare(sql).iterate()) {
      const item = toItem(row)
      if (item !== undefined) yield item
    }
  }

  return {
    tokens: () => iterate(`SELECT ${TOKEN_COLUMNS} FROM tokens ORDER BY id`, toRecord),
    uses: () =>
      iterate('SELECT token_id AS tokenId, count, last_use AS lastUse, expires FROM uses', (row) => {
        const { lastUse, ...members } = row as unknown as Omit<UsageRecord, 'lastUse'> & { lastUse: number | null }
        return { ...members, lastUse: lastUse ?? undefined }
      }),
    revocations: () =>
      iterate(
        'SELECT subject, issued_until AS issuedUntil, expires FROM revocations ORDER BY number',
        (row) => row as unknown as Revocation,
      ),
    failures: () =>
      iterate('SELECT key, failures, expires, is_block AS isBlock FROM failures', (row) => {
        const { isBlock, ...count } = row as unknown as FailureCount & { isBlock: number }
        return { ...count, isBlock: isBlock === 1 }
      }),
    credentials: () => iterate(`SELECT ${CREDENTIAL_COLUMNS} FROM credentials`, toCredential),
    neededUntil() {
      const rows = database.prepare('SELECT fingerprint, needed_until AS until FROM signing_keys').all()
      return new Map(rows.map(({ fingerprint, until }) => [String(fingerprint), Number(until)]))
    },
  }
}
