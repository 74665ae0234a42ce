import type { DatabaseSync } from 'node:sqlite'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import type { UsageStore, Use } from '../../core/ports/usage-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { Connections } from './calls.ts'

/** Prepares the writes of {@link createSqliteUsageStore}. */
export function prepareUsageWrites(database: DatabaseSync) {
  const count = database.prepare(
    `INSERT INTO uses (token_id, count, expires) VALUES ($tokenId, 1, $expires)
     ON CONFLICT (token_id) DO UPDATE SET count = count + 1 WHERE count < $limit
     RETURNING count`,
  )
  const touch = database.prepare(
    `INSERT INTO uses (token_id, last_use, expires) VALUES ($tokenId, $usedAt, $expires)
     ON CONFLICT (token_id) DO UPDATE SET last_use = max(coalesce(last_use, 0), excluded.last_use)`,
  )
  const sweep = database.prepare(
    `DELETE FROM uses WHERE token_id IN (SELECT token_id FROM uses WHERE expires <= $cutoff LIMIT ${SWEEP_STEP})`,
  )

  return {
    count: (tokenId: string, limit: number, expires: number): number | undefined =>
      (count.get({ tokenId, limit, expires }) as { count: number } | undefined)?.count,
    touch(uses: readonly Use[]): void {
      for (const { tokenId, usedAt, expires } of uses) touch.run({ tokenId, usedAt, expires })
    },
    sweep: (cutoff: number): number => Number(sweep.run({ cutoff }).changes),
  }
}

/** Counts and records uses in SQLite. */
export function createSqliteUsageStore({
  reader,
  write,
}: Connections<ReturnType<typeof prepareUsageWrites>>): Omit<UsageStore, 'close'> {
  const counted = reader.prepare('SELECT count FROM uses WHERE token_id = $tokenId')
  const lastUse = reader.prepare('SELECT last_use AS lastUse FROM uses WHERE token_id = $tokenId')
  const isDue = reader.prepare('SELECT 1 FROM uses WHERE expires <= $cutoff LIMIT 1')

  return {
    count: (tokenId, limit, expires) => write('count', tokenId, limit, expires),
    counted: (tokenId) => reader.run(() => (counted.get({ tokenId }) as { count: number } | undefined)?.count ?? 0),
    touch: (uses) => write('touch', uses),
    lastUse: (tokenId) =>
      reader.run(() => (lastUse.get({ tokenId }) as { lastUse: number | null } | undefined)?.lastUse ?? undefined),
    async sweep(now) {
      const cutoff = now - RETENTION_MS
      // Looking first takes no lock: of several processes on one file, most find nothing to delete.
      await sweepAll(async () => ((await reader.run(() => isDue.get({ cutoff }))) ? write('sweep', cutoff) : 0))
    },
  }
}
