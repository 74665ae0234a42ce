import type { SQLInputValue } from 'node:sqlite'
import { RETENTION_MS, type Redemption, type TokenRecord, type TokenStore } from '../../core/ports/token-store.ts'
import { openDatabase } from './database.ts'
import { createGroupCommit, retryWhileBusy } from './group-commit.ts'
import { createTokenRows } from './token-rows.ts'
import { openWriteAheadLog } from './write-ahead-log.ts'

const COLUMNS = `token_digest AS tokenDigest, session_digest AS sessionDigest, operation, username, client,
  uaf_request AS uafRequest, created_at AS createdAt, expires_at AS expiresAt, response_lifetime AS responseLifetime,
  redeemed_at AS redeemedAt, revoked_at AS revokedAt`

/** Pages that the log has when it is written over into the database: by default a thousand, which holds everybody twice as long. */
const CHECKPOINT = 300

/** How many expired records go with each write: more than one can add, so that what piles up goes away again. */
const SWEEP_PER_WRITE = 2

/** How many go in one transaction at most. */
const LARGEST_SWEEP = 256

/** What a sweep left over goes in slices of so many records, … */
const SLICE = 32

/** … with so many milliseconds for everybody else in between. */
const SLICE_PAUSE = 20

/**
 * Keeps tokens in an SQLite file that several processes may share. Nothing is told before it is on the disk; the writes of one
 * event-loop turn go there together.
 *
 * @param path a file, or `:memory:`.
 * @throws Error for a file that cannot be opened or written.
 */
export function openSqliteTokenStore(path: string): TokenStore {
  const database = openDatabase(path)
  database.exec(`PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0; PRAGMA wal_autocheckpoint = ${CHECKPOINT}`)
  const rows = createTokenRows(database)
  const log = openWriteAheadLog(path)
  const group = createGroupCommit(database, log, { onBegin: rows.catchUp, onEnd: rows.end })
  const insert = database.prepare(
    `INSERT INTO tokens (token_digest, session_digest, operation, username, client, uaf_request, created_at, expires_at,
       response_lifetime)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  // Of rows that are meant by a digest as far as the index can tell.
  const redeem = database.prepare(
    `UPDATE tokens SET redeemed_at = $now
     WHERE id = $id AND token_digest = $tokenDigest AND redeemed_at IS NULL AND revoked_at IS NULL AND expires_at > $now
       AND operation = $operation
     RETURNING ${COLUMNS}`,
  )
  const revoke = database.prepare(
    `UPDATE tokens SET revoked_at = $now
     WHERE id = $id AND token_digest = $tokenDigest AND revoked_at IS NULL AND expires_at > $forgotten`,
  )
  const findByToken = database.prepare(
    `SELECT ${COLUMNS} FROM tokens WHERE id = $id AND token_digest = $tokenDigest AND expires_at > $forgotten`,
  )
  const findBySession = database.prepare(
    `SELECT ${COLUMNS} FROM tokens WHERE id = $id AND session_digest = $sessionDigest AND expires_at > $forgotten`,
  )
  const isTaken = database.prepare('SELECT 1 FROM tokens WHERE id = ? AND token_digest = ?')
  const isDue = database.prepare('SELECT 1 FROM tokens WHERE expires_at <= $forgotten LIMIT 1')
  const sweep = database.prepare(
    'DELETE FROM tokens WHERE rowid IN (SELECT rowid FROM tokens WHERE expires_at <= $forgotten LIMIT $limit)',
  )

  let due = 0
  /** By when a sweep clears away at most: writes come with a time that may be taken back. */
  let settled = Number.POSITIVE_INFINITY
  let leftovers: NodeJS.Timeout | undefined

  /** Clears expired records away, in the transaction that runs next. What fails is tried again with a later write. */
  function sweepSoon(records: number, now: number): void {
    due += records
    if (due > records) return
    const step = () => {
      const limit = Math.min(due, LARGEST_SWEEP)
      due = 0
      const forgotten = Math.min(now, settled) - RETENTION_MS
      if (!isDue.get({ forgotten })) return
      const { changes } = sweep.run({ forgotten, limit })
      if (changes === limit) leftovers ??= setTimeout(sweepLeftovers, SLICE_PAUSE, now).unref()
    }
    group.write(step).catch(() => {
      due = 0
    })
  }

  function sweepLeftovers(now: number): void {
    leftovers = undefined
    sweepSoon(SLICE, now)
  }

  function write<Result>(now: number, step: () => Result): Promise<Result> {
    const result = group.write(step)
    sweepSoon(SWEEP_PER_WRITE, now)
    return result
  }

  function create(record: TokenRecord): void {
    const { tokenDigest, sessionDigest } = record
    if (rows.find(tokenDigest, (id) => isTaken.get(id, tokenDigest))) {
      throw new Error('there is a token of this digest already')
    }
    rows.add(Number(insert.run(...toRow(record)).lastInsertRowid), tokenDigest, sessionDigest)
  }

  function find(tokenDigest: string, now: number): TokenRecord | undefined {
    const forgotten = now - RETENTION_MS
    return toRecord(rows.find(tokenDigest, (id) => findByToken.get({ id, tokenDigest, forgotten })))
  }

  function classifyFailedRedemption(tokenDigest: string, now: number): Redemption {
    const record = find(tokenDigest, now)
    if (!record) return { outcome: 'unknown' }
    if (record.redeemedAt !== undefined || record.revokedAt !== undefined) return { outcome: 'spent' }
    return { outcome: record.expiresAt <= now ? 'expired' : 'misdirected' }
  }

  return {
    create: (record) => write(record.createdAt, () => create(record)),
    redeem: (tokenDigest, operation, now) =>
      write(now, () => {
        const record = toRecord(rows.find(tokenDigest, (id) => redeem.get({ id, tokenDigest, operation, now })))
        return record ? { outcome: 'redeemed', record } : classifyFailedRedemption(tokenDigest, now)
      }),
    revoke: (tokenDigest, now) =>
      write(now, () => {
        const values = { tokenDigest, now, forgotten: now - RETENTION_MS }
        return rows.find(tokenDigest, (id) => revoke.run({ id, ...values }).changes > 0 || undefined) ?? false
      }),
    findByToken: (tokenDigest, now) =>
      retryWhileBusy(() => {
        rows.catchUp()
        return find(tokenDigest, now)
      }),
    findBySession: (sessionDigest, now) =>
      retryWhileBusy(() => {
        rows.catchUp()
        const forgotten = now - RETENTION_MS
        return toRecord(rows.find(sessionDigest, (id) => findBySession.get({ id, sessionDigest, forgotten })))
      }),
    async sweep(now) {
      settled = now
      // Also so that it has been done before the first request.
      await retryWhileBusy(rows.catchUp)
      await retryWhileBusy(rows.tidy)
      // Looking takes no lock: with several processes on one file, most find nothing left to do.
      if (await retryWhileBusy(() => isDue.get({ forgotten: now - RETENTION_MS }))) sweepSoon(SLICE, now)
    },
    async close() {
      await group.flush()
      clearTimeout(leftovers)
      if (!database.isOpen) return
      database.close()
      log.close()
    },
  }
}

/** A record as it is made, neither redeemed nor revoked; by place, as looking up names would be a third of what it takes. */
function toRow(record: TokenRecord): SQLInputValue[] {
  return [
    record.tokenDigest,
    record.sessionDigest,
    record.operation,
    record.username ?? null,
    record.client ?? null,
    record.uafRequest,
    record.createdAt,
    record.expiresAt,
    record.responseLifetime,
  ]
}

function toRecord(row: unknown): TokenRecord | undefined {
  if (row === undefined) return undefined
  const entries = Object.entries(row as Record<string, unknown>)
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? undefined])) as unknown as TokenRecord
}
