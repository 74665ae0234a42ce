import { REVOCATIONS_PER_PAGE, type Revocation, type RevocationStore } from '../../core/ports/revocation-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { Statement } from './connection.ts'
import type { Primary } from './primary.ts'
import { decode, encode } from './text.ts'

/** One row for each subject. A change gets the transaction's id, so that readers who have passed the row see it again. */
const ADD: Statement = {
  name: 'revoke-subject',
  text: `INSERT INTO trimint_revocations AS known (subject, issued_until, expires)
    SELECT * FROM json_to_recordset($1) AS input(subject text, "issuedUntil" bigint, expires bigint) ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET
      issued_until = greatest(known.issued_until, excluded.issued_until),
      expires = greatest(known.expires, excluded.expires),
      transaction = pg_current_xact_id()`,
}

/**
 * Reads a page, and writes beside it: an old primary that was cut off still answers reads, with old data, but can no
 * longer confirm a write.
 *
 * Transactions commit in another order than they get their ids. `horizon` is the oldest that may still be running: the
 * next reading begins there, and so repeats some rows but misses none.
 */
const READ: Statement = {
  name: 'read-revocations',
  text: `WITH beat AS (
      INSERT INTO trimint_beats (backend, at) VALUES (pg_backend_pid(), now())
      ON CONFLICT (backend) DO UPDATE SET at = excluded.at
    )
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon, page.*
    FROM (VALUES (1)) AS one LEFT JOIN LATERAL (
      SELECT subject, issued_until AS "issuedUntil", expires, transaction::text FROM trimint_revocations AS known
      WHERE (known.transaction, subject) > ($1::text::xid8, $2)
      ORDER BY known.transaction, subject LIMIT ${REVOCATIONS_PER_PAGE}
    ) AS page ON true`,
}

const SWEEP_READERS: Statement = {
  name: 'sweep-readers',
  text: `DELETE FROM trimint_beats WHERE at < now() - interval '1 hour'`,
}

const SWEEP: Statement = {
  name: 'sweep-revocations',
  text: `DELETE FROM trimint_revocations WHERE subject IN (
      SELECT subject FROM trimint_revocations WHERE expires <= $1 LIMIT ${SWEEP_STEP} FOR UPDATE SKIP LOCKED
    ) RETURNING 1`,
}

/**
 * After a restore from a dump, rows have the transaction ids of another server. Those that this one has not reached yet
 * would be read again and again.
 */
const RENUMBER: Statement = {
  name: 'renumber-revocations',
  text: `UPDATE trimint_revocations SET transaction = pg_current_xact_id() WHERE subject IN (
      SELECT subject FROM trimint_revocations WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot())
      LIMIT ${SWEEP_STEP} FOR UPDATE SKIP LOCKED
    ) RETURNING 1`,
}

/** A position in the order of transactions. Valid for one primary: another one may use the same ids again. */
interface Cursor {
  readonly generation: number
  /** Rows up to this transaction and subject have been read. */
  readonly transaction: string
  readonly subject: string
  /** From the second page of a reading on: the horizon of its first page. */
  readonly horizon?: string | undefined
}

/** Keeps revocations in PostgreSQL. */
export function createPostgresRevocationStore({
  run,
  gather,
  generation,
}: Pick<Primary, 'run' | 'gather' | 'generation'>): Omit<RevocationStore, 'close'> {
  const add = gather(async (items: readonly Revocation[], run) => {
    const bySubject = Map.groupBy(items, ({ subject }) => encode(subject))
    const input = [...bySubject].map(([subject, same]) => ({
      subject,
      issuedUntil: Math.max(...same.map(({ issuedUntil }) => issuedUntil)),
      expires: Math.max(...same.map(({ expires }) => expires)),
    }))
    await run(ADD, [JSON.stringify(input)])
    return items.map(() => undefined)
  })

  function parse(text: string | undefined): Cursor {
    const cursor = text === undefined ? undefined : (JSON.parse(text) as Cursor)
    if (cursor?.generation === generation()) return cursor
    return { generation: generation(), transaction: '0', subject: '' }
  }

  return {
    add,
    async since(text) {
      const before = parse(text)
      const rows = await run(READ, [before.transaction, before.subject])
      if (generation() !== before.generation) throw new Error('PostgreSQL was replaced while revocations were read')
      const found = rows.filter(({ subject }) => subject !== null)
      const last = found.at(-1)
      const complete = found.length < REVOCATIONS_PER_PAGE
      const horizon = before.horizon ?? String(rows[0]?.horizon)
      const cursor: Cursor =
        complete || !last
          ? { generation: before.generation, transaction: horizon, subject: '' }
          : {
              generation: before.generation,
              transaction: String(last.transaction),
              subject: String(last.subject),
              horizon,
            }
      return {
        revocations: found.map(({ subject, issuedUntil, expires }) => ({
          subject: decode(subject),
          issuedUntil: Number(issuedUntil),
          expires: Number(expires),
        })),
        cursor: JSON.stringify(cursor),
        complete,
      }
    },
    async sweep(time) {
      await run(SWEEP_READERS, [])
      await sweepAll(async () => (await run(RENUMBER, [])).length)
      await sweepAll(async () => (await run(SWEEP, [time])).length)
    },
  }
}
