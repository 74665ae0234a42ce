import type { FailureCount, FailureStore } from './failure-store.ts'
import { openDatabase } from './sqlite-database.ts'

/** How many expired counts one write clears away at most. */
const SWEEP = 100

/**
 * Counts failures in an SQLite file that several processes may share.
 *
 * @param path a file, or `:memory:`.
 */
export function openSqliteFailureStore(path: string): FailureStore {
  const database = openDatabase(path)
  // A count that a power failure takes along costs nothing, so it does not wait for the disk.
  database.exec('PRAGMA synchronous = NORMAL')
  const add = database.prepare(
    `INSERT INTO failures (key, failures, expires) VALUES ($key, 1, $expires)
     ON CONFLICT (key) DO UPDATE SET
       failures = CASE WHEN expires > $now THEN failures + 1 ELSE 1 END,
       expires = CASE WHEN expires > $now THEN expires ELSE $expires END
     RETURNING key, failures, expires`,
  )
  const extend = database.prepare('UPDATE failures SET expires = $expires WHERE key = $key AND expires > $now')
  const remove = database.prepare('DELETE FROM failures WHERE key = $key AND failures < $limit')
  const list = database.prepare('SELECT * FROM failures WHERE expires > $now ORDER BY expires DESC, key LIMIT $limit')
  const sweep = database.prepare(
    `DELETE FROM failures WHERE key IN (SELECT key FROM failures WHERE expires <= $now LIMIT ${SWEEP})`,
  )

  return {
    async add(key, lifetime, now) {
      sweep.run({ now })
      return toCount(add.get({ key, now, expires: now + lifetime }))
    },
    async extend(key, expires, now) {
      extend.run({ key, expires, now })
    },
    async remove(key, limit) {
      return remove.run({ key, limit }).changes > 0
    },
    async list(now, limit) {
      return list.all({ now, limit }).map(toCount)
    },
    async close() {
      database.close()
    },
  }
}

function toCount(row: unknown): FailureCount {
  const { key, failures, expires } = row as FailureCount
  return { key, failures, expires }
}
