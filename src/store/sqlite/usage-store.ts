import { RETENTION_MS } from '../../core/ports/token-store.ts'
import type { UsageStore } from '../../core/ports/usage-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import { openDatabase } from './database.ts'
import { createGroupCommit, retryWhileBusy } from './group-commit.ts'
import { openWriteAheadLog } from './write-ahead-log.ts'

/**
 * Counts and notes uses in an SQLite file that several processes may share. Nothing is told before it is on the disk; the writes of
 * one event-loop turn go there together.
 *
 * @param path a file, or `:memory:`.
 */
export function openSqliteUsageStore(path: string): UsageStore {
  const database = openDatabase(path)
  database.exec('PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0')
  const log = openWriteAheadLog(path)
  const group = createGroupCommit(database, log)
  const count = database.prepare(
    `INSERT INTO uses (token_id, count, expires) VALUES ($tokenId, 1, $expires)
     ON CONFLICT (token_id) DO UPDATE SET count = count + 1 WHERE count < $limit
     RETURNING count`,
  )
  const counted = database.prepare('SELECT count FROM uses WHERE token_id = $tokenId')
  const touch = database.prepare(
    `INSERT INTO uses (token_id, last_use, expires) VALUES ($tokenId, $usedAt, $expires)
     ON CONFLICT (token_id) DO UPDATE SET last_use = max(coalesce(last_use, 0), excluded.last_use)`,
  )
  const lastUse = database.prepare('SELECT last_use AS lastUse FROM uses WHERE token_id = $tokenId')
  const due = database.prepare('SELECT 1 FROM uses WHERE expires <= $forgotten LIMIT 1')
  const sweep = database.prepare(
    `DELETE FROM uses WHERE token_id IN (SELECT token_id FROM uses WHERE expires <= $forgotten LIMIT ${SWEEP_STEP})`,
  )

  return {
    async count(tokenId, limit, expires) {
      const row = await group.write(() => count.get({ tokenId, limit, expires }) as { count: number } | undefined)
      return row?.count
    },
    counted: (tokenId) => retryWhileBusy(() => (counted.get({ tokenId }) as { count: number } | undefined)?.count ?? 0),
    async touch(uses) {
      await Promise.all(
        uses.map(({ tokenId, usedAt, expires }) => group.write(() => touch.run({ tokenId, usedAt, expires }))),
      )
    },
    lastUse: (tokenId) =>
      retryWhileBusy(() => (lastUse.get({ tokenId }) as { lastUse: number | null } | undefined)?.lastUse ?? undefined),
    async sweep(now) {
      const forgotten = now - RETENTION_MS
      await sweepAll(async () => {
        // Looking takes no lock: with several processes on one file, most find nothing left to do.
        if (!(await retryWhileBusy(() => due.get({ forgotten })))) return 0
        return Number((await group.write(() => sweep.run({ forgotten }))).changes)
      })
    },
    async close() {
      await group.flush()
      if (!database.isOpen) return
      database.close()
      log.close()
    },
  }
}
