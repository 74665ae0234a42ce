import { RETENTION_MS } from '../../core/ports/retention.ts'
import type { UsageStore, Use } from '../../core/ports/usage-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { Statement } from './connection.ts'
import type { Primary } from './primary.ts'
import { decode, encode } from './text.ts'

/** Counts several uses of each token, up to the limit `$2`. */
const COUNT: Statement = {
  name: 'count-uses',
  text: `INSERT INTO trimint_uses AS known (token_id, uses, counted, kept_until)
    SELECT token, least(uses, $2), least(uses, $2), kept
    FROM json_to_recordset($1) AS input(token text, uses bigint, kept bigint) ORDER BY token
    ON CONFLICT (token_id) DO UPDATE SET
      uses = known.uses + least(excluded.uses, greatest(0, $2 - known.uses)),
      counted = least(excluded.uses, greatest(0, $2 - known.uses)),
      kept_until = greatest(known.kept_until, excluded.kept_until)
    RETURNING token_id AS token, uses, counted`,
}

const NOTE: Statement = {
  name: 'note-uses',
  text: `INSERT INTO trimint_uses AS known (token_id, last_use, kept_until)
    SELECT token, used, kept FROM json_to_recordset($1) AS input(token text, used bigint, kept bigint) ORDER BY token
    ON CONFLICT (token_id) DO UPDATE SET
      last_use = greatest(known.last_use, excluded.last_use),
      kept_until = greatest(known.kept_until, excluded.kept_until)`,
}

const READ: Statement = {
  name: 'read-uses',
  text: `SELECT token_id AS token, uses, last_use AS "lastUse" FROM trimint_uses
    WHERE token_id IN (SELECT json_array_elements_text($1))`,
}

const SWEEP: Statement = {
  name: 'sweep-uses',
  text: `DELETE FROM trimint_uses WHERE token_id IN (
      SELECT token_id FROM trimint_uses WHERE kept_until <= $1 LIMIT ${SWEEP_STEP} FOR UPDATE SKIP LOCKED
    ) RETURNING 1`,
}

interface Count {
  readonly token: string
  readonly limit: number
  readonly kept: number
}

/** Keeps counts and uses of signed tokens in PostgreSQL. */
export function createPostgresUsageStore({ run, gather }: Pick<Primary, 'run' | 'gather'>): Omit<UsageStore, 'close'> {
  const count = gather(async (items: readonly Count[], run) => {
    const answers = new Map<Count, number | undefined>()
    // A token always has the same limit, so nearly every step has one group.
    for (const [limit, group] of Map.groupBy(items, ({ limit }) => limit)) {
      const byToken = Map.groupBy(group, ({ token }) => token)
      const input = [...byToken].map(([token, same]) => {
        return { token: encode(token), uses: same.length, kept: Math.max(...same.map(({ kept }) => kept)) }
      })
      const rows = await run(COUNT, [JSON.stringify(input), limit])
      for (const { token, uses, counted } of rows) {
        const before = Number(uses) - Number(counted)
        for (const [at, item] of (byToken.get(decode(token)) ?? []).entries()) {
          answers.set(item, at < Number(counted) ? before + at + 1 : undefined)
        }
      }
    }
    return items.map((item) => answers.get(item))
  })

  const note = gather(async (calls: readonly (readonly Use[])[], run) => {
    const byToken = Map.groupBy(calls.flat(), ({ tokenId }) => encode(tokenId))
    const input = [...byToken].map(([token, same]) => ({
      token,
      used: Math.max(...same.map(({ usedAt }) => usedAt)),
      kept: Math.max(...same.map(({ expires }) => expires)) + RETENTION_MS,
    }))
    await run(NOTE, [JSON.stringify(input)])
    return calls.map(() => undefined)
  })

  const read = gather(async (tokens: readonly string[], run) => {
    const rows = await run(READ, [JSON.stringify([...new Set(tokens)])])
    const byToken = new Map(rows.map((row) => [String(row.token), row]))
    return tokens.map((token) => byToken.get(token))
  })

  return {
    count: (token, limit, expires) => count({ token, limit, kept: expires + RETENTION_MS }),
    counted: async (tokenId) => Number((await read(encode(tokenId)))?.uses ?? 0),
    async touch(uses) {
      if (uses.length > 0) await note(uses)
    },
    lastUse: async (tokenId) => ((await read(encode(tokenId)))?.lastUse as number | null | undefined) ?? undefined,
    sweep: (now) => sweepAll(async () => (await run(SWEEP, [now])).length),
  }
}
