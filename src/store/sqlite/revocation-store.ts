import { REVOCATIONS_PER_PAGE, type Revocation, type RevocationStore } from '../../core/ports/revocation-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import { openDatabase } from './database.ts'
import { retryWhileBusy } from './group-commit.ts'

/**
 * Keeps revocations in an SQLite file that several processes may share. Its cursor is the number of the last one: numbers are given
 * under the file's one write lock and never given again, so no later commit has a smaller one.
 *
 * @param path a file, or `:memory:`.
 */
export function openSqliteRevocationStore(path: string): RevocationStore {
  const database = openDatabase(path)
  database.exec('PRAGMA synchronous = FULL; PRAGMA busy_timeout = 0')
  const add = database.prepare(
    'INSERT INTO revocations (subject, issued_until, expires) VALUES ($subject, $issuedUntil, $expires)',
  )
  const since = database.prepare(
    `SELECT number, subject, issued_until AS issuedUntil, expires FROM revocations WHERE number > $last
     ORDER BY number LIMIT ${REVOCATIONS_PER_PAGE}`,
  )
  const due = database.prepare('SELECT 1 FROM revocations WHERE expires <= $now LIMIT 1')
  const sweep = database.prepare(
    `DELETE FROM revocations WHERE number IN (SELECT number FROM revocations WHERE expires <= $now LIMIT ${SWEEP_STEP})`,
  )

  return {
    async add({ subject, issuedUntil, expires }) {
      await retryWhileBusy(() => add.run({ subject, issuedUntil, expires }))
    },
    since: (cursor) =>
      retryWhileBusy(() => {
        const rows = since.all({ last: Number(cursor ?? 0) }) as unknown as (Revocation & { number: number })[]
        const last = rows.at(-1)
        return {
          revocations: rows.map(({ number, ...revocation }) => revocation),
          cursor: last ? String(last.number) : cursor,
          complete: rows.length < REVOCATIONS_PER_PAGE,
        }
      }),
    // Looking takes no lock: with several processes on one file, most find nothing left to do.
    sweep: (now) => sweepAll(() => retryWhileBusy(() => (due.get({ now }) ? Number(sweep.run({ now }).changes) : 0))),
    async close() {
      if (database.isOpen) database.close()
    },
  }
}
