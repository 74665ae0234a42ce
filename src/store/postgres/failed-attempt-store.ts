import type { FailedAttemptStore, FailureCount } from '../../core/ports/failed-attempt-store.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { Row, Statement } from './connection.ts'
import type { Primary } from './primary.ts'
import { decode, encode } from './text.ts'

/** Adds several failures to each count. `$2` is the present time. */
const ADD: Statement = {
  name: 'add-failures',
  text: `INSERT INTO trimint_failures AS known (key, failures, expires)
    SELECT * FROM json_to_recordset($1) AS input(key text, failures bigint, expires bigint) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
      failures = excluded.failures + CASE WHEN known.expires > $2 THEN known.failures ELSE 0 END,
      is_block = known.is_block AND known.expires > $2,
      expires = CASE WHEN known.expires > $2 THEN known.expires ELSE excluded.expires END
    RETURNING key, failures, expires`,
}

const BLOCK: Statement = {
  name: 'block',
  text: 'UPDATE trimint_failures SET is_block = true, expires = $2 WHERE key = $1 AND expires > $3',
}

const REMOVE: Statement = {
  name: 'remove-failures',
  text: 'DELETE FROM trimint_failures WHERE key = $1 AND failures < $2 RETURNING failures',
}

const SUBTRACT: Statement = {
  name: 'subtract-failures',
  text: `WITH found AS MATERIALIZED (SELECT key, failures FROM trimint_failures WHERE key = $1 AND failures < $3 FOR UPDATE),
    removed AS (DELETE FROM trimint_failures WHERE key IN (SELECT key FROM found WHERE failures <= $2))
    UPDATE trimint_failures AS known SET failures = found.failures - $2
    FROM found WHERE known.key = found.key AND found.failures > $2`,
}

const LIST: Statement = {
  name: 'list-failures',
  text: `(SELECT key, failures, expires FROM trimint_failures WHERE is_block AND expires > $1 ORDER BY expires DESC LIMIT $2)
    UNION ALL
    (SELECT key, failures, expires FROM trimint_failures WHERE NOT is_block AND expires > $1 ORDER BY expires DESC LIMIT $3)`,
}

const SWEEP: Statement = {
  name: 'sweep-failures',
  text: `DELETE FROM trimint_failures WHERE key IN (
      SELECT key FROM trimint_failures WHERE expires <= $1 LIMIT ${SWEEP_STEP} FOR UPDATE SKIP LOCKED
    ) RETURNING 1`,
}

interface Failure {
  readonly key: string
  readonly lifetimeMs: number
  readonly now: number
}

/** Counts failed attempts in PostgreSQL. */
export function createPostgresFailedAttemptStore({
  run,
  gather,
}: Pick<Primary, 'run' | 'gather'>): Omit<FailedAttemptStore, 'close'> {
  const add = gather(async (items: readonly Failure[], run) => {
    const byKey = Map.groupBy(items, ({ key }) => encode(key))
    const now = Math.max(...items.map((item) => item.now))
    const input = [...byKey].map(([key, same]) => {
      return { key, failures: same.length, expires: now + Math.max(...same.map(({ lifetimeMs }) => lifetimeMs)) }
    })
    const rows = await run(ADD, [JSON.stringify(input), now])
    const counts = new Map(rows.map((row) => [String(row.key), toCount(row)]))
    const left = new Map([...byKey].map(([key, same]) => [key, same.length]))
    return items.map((item): FailureCount => {
      const key = encode(item.key)
      const count = counts.get(key) as FailureCount
      const later = (left.get(key) ?? 0) - 1
      left.set(key, later)
      return { ...count, failures: count.failures - later }
    })
  })

  return {
    add: (key, lifetimeMs, now) => add({ key, lifetimeMs, now }),
    async block(key, expires, now) {
      await run(BLOCK, [encode(key), expires, now])
    },
    async remove(key, limit) {
      return Number((await run(REMOVE, [encode(key), limit]))[0]?.failures ?? 0)
    },
    async subtract(key, failures, limit) {
      await run(SUBTRACT, [encode(key), failures, limit])
    },
    async list(now, { blocks, counts }) {
      return (await run(LIST, [now, blocks, counts])).map(toCount)
    },
    sweep: (now) => sweepAll(async () => (await run(SWEEP, [now - RETENTION_MS])).length),
  }
}

function toCount({ key, failures, expires }: Row): FailureCount {
  return { key: decode(key), failures: Number(failures), expires: Number(expires) }
}
