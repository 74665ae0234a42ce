import type { DatabaseSync } from 'node:sqlite'
import type { FailedAttemptStore, FailureCount } from '../../core/ports/failed-attempt-store.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { Connections } from './calls.ts'

/** Prepares the writes of {@link createSqliteFailedAttemptStore}. */
export function prepareFailedAttemptWrites(database: DatabaseSync) {
  const add = database.prepare(
    `INSERT INTO failures (key, failures, expires) VALUES ($key, 1, $expires)
     ON CONFLICT (key) DO UPDATE SET
       failures = CASE WHEN expires > $now THEN failures + 1 ELSE 1 END,
       is_block = CASE WHEN expires > $now THEN is_block ELSE 0 END,
       expires = CASE WHEN expires > $now THEN expires ELSE $expires END
     RETURNING key, failures, expires`,
  )
  const block = database.prepare(
    'UPDATE failures SET is_block = 1, expires = $expires WHERE key = $key AND expires > $now',
  )
  const remove = database.prepare('DELETE FROM failures WHERE key = $key AND failures < $limit RETURNING failures')
  const subtract = database.prepare(
    'UPDATE failures SET failures = failures - $failures WHERE key = $key AND failures < $limit',
  )
  const removeEmpty = database.prepare('DELETE FROM failures WHERE key = $key AND failures <= 0')
  const sweep = database.prepare(
    `DELETE FROM failures WHERE key IN (SELECT key FROM failures WHERE expires <= $cutoff LIMIT ${SWEEP_STEP})`,
  )

  return {
    add: (key: string, lifetimeMs: number, now: number): FailureCount =>
      toCount(add.get({ key, now, expires: now + lifetimeMs })),
    block: (key: string, expires: number, now: number): void => void block.run({ key, expires, now }),
    remove: (key: string, limit: number): number =>
      (remove.get({ key, limit }) as { failures: number } | undefined)?.failures ?? 0,
    subtract(key: string, failures: number, limit: number): void {
      subtract.run({ key, failures, limit })
      removeEmpty.run({ key })
    },
    sweep: (cutoff: number): number => Number(sweep.run({ cutoff }).changes),
  }
}

/** Counts failed attempts in SQLite. */
export function createSqliteFailedAttemptStore({
  reader,
  write,
}: Connections<ReturnType<typeof prepareFailedAttemptWrites>>): Omit<FailedAttemptStore, 'close'> {
  // A literal, not a parameter: otherwise SQLite does not use the index of blocks.
  const prepareList = (isBlock: 0 | 1) =>
    reader.prepare(
      `SELECT * FROM failures WHERE is_block = ${isBlock} AND expires > $now ORDER BY expires DESC LIMIT $limit`,
    )
  const listBlocks = prepareList(1)
  const listCounts = prepareList(0)
  const isDue = reader.prepare('SELECT 1 FROM failures WHERE expires <= $cutoff LIMIT 1')

  return {
    add: (key, lifetimeMs, now) => write('add', key, lifetimeMs, now),
    block: (key, expires, now) => write('block', key, expires, now),
    remove: (key, limit) => write('remove', key, limit),
    subtract: (key, failures, limit) => write('subtract', key, failures, limit),
    list: (now, { blocks, counts }) =>
      reader.run(() =>
        [...listBlocks.all({ now, limit: blocks }), ...listCounts.all({ now, limit: counts })].map(toCount),
      ),
    async sweep(now) {
      const cutoff = now - RETENTION_MS
      // Looking first takes no lock: of several processes on one file, most find nothing to delete.
      await sweepAll(async () => ((await reader.run(() => isDue.get({ cutoff }))) ? write('sweep', cutoff) : 0))
    },
  }
}

function toCount(row: unknown): FailureCount {
  const { key, failures, expires } = row as FailureCount
  return { key, failures, expires }
}
