import type { FailedAttemptStore, FailureCount } from '../../core/ports/failed-attempt-store.ts'
import { openDatabase } from './database.ts'
import { retryWhileBusy } from './group-commit.ts'

/** How many expired counts one write clears away at most. */
const SWEEP = 100

/**
 * Counts failures in an SQLite file that several processes may share.
 *
 * @param path a file, or `:memory:`.
 */
export function openSqliteFailedAttemptStore(path: string): FailedAttemptStore {
  const database = openDatabase(path)
  // A count that a power failure takes along costs nothing, so it does not wait for the disk.
  database.exec('PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0')
  const add = database.prepare(
    `INSERT INTO failures (key, failures, expires) VALUES ($key, 1, $expires)
     ON CONFLICT (key) DO UPDATE SET
       failures = CASE WHEN expires > $now THEN failures + 1 ELSE 1 END,
       expires = CASE WHEN expires > $now THEN expires ELSE $expires END
     RETURNING key, failures, expires`,
  )
  const extend = database.prepare('UPDATE failures SET expires = $expires WHERE key = $key AND expires > $now')
  const remove = database.prepare('DELETE FROM failures WHERE key = $key AND failures < $limit')
  const list = database.prepare(
    'SELECT * FROM failures WHERE expires > $now ORDER BY failures DESC, expires DESC, key LIMIT $limit',
  )
  const sweep = database.prepare(
    `DELETE FROM failures WHERE key IN (SELECT key FROM failures WHERE expires <= $now LIMIT ${SWEEP})`,
  )

  return {
    add: (key, lifetime, now) =>
      retryWhileBusy(() => {
        sweep.run({ now })
        return toCount(add.get({ key, now, expires: now + lifetime }))
      }),
    extend: async (key, expires, now) => void (await retryWhileBusy(() => extend.run({ key, expires, now }))),
    remove: (key, limit) => retryWhileBusy(() => remove.run({ key, limit }).changes > 0),
    list: (now, limit) => retryWhileBusy(() => list.all({ now, limit }).map(toCount)),
    async close() {
      if (database.isOpen) database.close()
    },
  }
}

function toCount(row: unknown): FailureCount {
  const { key, failures, expires } = row as FailureCount
  return { key, failures, expires }
}
