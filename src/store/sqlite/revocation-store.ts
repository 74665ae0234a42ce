import type { DatabaseSync } from 'node:sqlite'
import { REVOCATIONS_PER_PAGE, type Revocation, type RevocationStore } from '../../core/ports/revocation-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { Connections } from './calls.ts'

/** Prepares the writes of {@link createSqliteRevocationStore}. */
export function prepareRevocationWrites(database: DatabaseSync) {
  // The new row replaces the one of the same subject and has a new number, so readers that saw the old one see it too.
  const add = database.prepare(
    `INSERT INTO revocations (subject, issued_until, expires)
     SELECT $subject, max($issuedUntil, coalesce(max(issued_until), 0)), max($expires, coalesce(max(expires), 0))
     FROM revocations WHERE subject = $subject`,
  )
  const sweep = database.prepare(
    `DELETE FROM revocations WHERE number IN (SELECT number FROM revocations WHERE expires <= $now LIMIT ${SWEEP_STEP})`,
  )

  return {
    add: ({ subject, issuedUntil, expires }: Revocation): void => void add.run({ subject, issuedUntil, expires }),
    sweep: (now: number): number => Number(sweep.run({ now }).changes),
  }
}

/**
 * Keeps revocations in SQLite. The cursor is the number of the last revocation that was read. Numbers are assigned
 * under the write lock and never reused, so every later commit has a higher one.
 */
export function createSqliteRevocationStore({
  reader,
  write,
}: Connections<ReturnType<typeof prepareRevocationWrites>>): Omit<RevocationStore, 'close'> {
  const since = reader.prepare(
    `SELECT number, subject, issued_until AS issuedUntil, expires FROM revocations WHERE number > $last
     ORDER BY number LIMIT ${REVOCATIONS_PER_PAGE}`,
  )
  const isDue = reader.prepare('SELECT 1 FROM revocations WHERE expires <= $now LIMIT 1')

  return {
    add: (revocation) => write('add', revocation),
    since: (cursor) =>
      reader.run(() => {
        const rows = since.all({ last: Number(cursor ?? 0) }) as unknown as (Revocation & { number: number })[]
        const last = rows.at(-1)
        return {
          revocations: rows.map(({ number, ...revocation }) => revocation),
          cursor: last ? String(last.number) : cursor,
          complete: rows.length < REVOCATIONS_PER_PAGE,
        }
      }),
    // Looking first takes no lock: of several processes on one file, most find nothing to delete.
    sweep: (now) => sweepAll(async () => ((await reader.run(() => isDue.get({ now }))) ? write('sweep', now) : 0)),
  }
}
