import type { DatabaseSync } from 'node:sqlite'
import type { FailedAttemptStore, FailureCount } from '../../core/ports/failed-attempt-store.ts'
import type { Connections } from './calls.ts'

/** Expired counts that one write deletes at most. */
const MAX_SWEPT_PER_WRITE = 100

/** Prepares the writes of {@link createSqliteFailedAttemptStore}. */
export function prepareFailedAttemptWrites(database: DatabaseSync) {
  const add = database.prepare(
    `INSERT INTO failures (key, failures, expires) VALUES ($key, 1, $expires)
     ON CONFLICT (key) DO UPDATE SET
       failures = CASE WHEN expires > $now THEN failures + 1 ELSE 1 END,
       expires = CASE WHEN expires > $now THEN expires ELSE $expires END
     RETURNING key, failures, expires`,
  )
  const extend = database.prepare('UPDATE failures SET expires = $expires WHERE key = $key AND expires > $now')
  const remove = database.prepare('DELETE FROM failures WHERE key = $key AND failures < $limit')
  const sweep = database.prepare(
    `DELETE FROM failures WHERE key IN (SELECT key FROM failures WHERE expires <= $now LIMIT ${MAX_SWEPT_PER_WRITE})`,
  )

  return {
    add(key: string, lifetimeMs: number, now: number): FailureCount {
      sweep.run({ now })
      return toCount(add.get({ key, now, expires: now + lifetimeMs }))
    },
    extend: (key: string, expires: number, now: number): void => void extend.run({ key, expires, now }),
    remove: (key: string, limit: number): boolean => remove.run({ key, limit }).changes > 0,
  }
}

/** Counts failed attempts in SQLite. */
export function createSqliteFailedAttemptStore({
  reader,
  write,
}: Connections<ReturnType<typeof prepareFailedAttemptWrites>>): Omit<FailedAttemptStore, 'close'> {
  const list = reader.prepare(
    'SELECT * FROM failures WHERE expires > $now ORDER BY failures DESC, expires DESC, key LIMIT $limit',
  )

  return {
    add: (key, lifetimeMs, now) => write('add', key, lifetimeMs, now),
    extend: (key, expires, now) => write('extend', key, expires, now),
    remove: (key, limit) => write('remove', key, limit),
    list: (now, limit) => reader.run(() => list.all({ now, limit }).map(toCount)),
  }
}

function toCount(row: unknown): FailureCount {
  const { key, failures, expires } = row as FailureCount
  return { key, failures, expires }
}
