import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { FidoOperation } from '../../core/fido/operation.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import {
  type AnonymousLimit,
  CLOCK_LEEWAY_MS,
  type KeyRemoval,
  type Redemption,
  type SessionOutcome,
  type Settlement,
  type SettlementResult,
  type TokenRecord,
  type TokenStore,
} from '../../core/ports/token-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { Connections } from './calls.ts'
import { prepareSessionChanges } from './credential-changes.ts'
import { createTokenLookup, hasSessionDigest, hasTokenDigest } from './token-lookup.ts'

/** The columns of a record, under the names of its members. */
export const TOKEN_COLUMNS = `token_digest AS tokenDigest, session_digest AS sessionDigest, operation, username, client,
  uaf_request AS uafRequest, created_at AS createdAt, known_revocation AS knownRevocation, expires_at AS expiresAt,
  response_lifetime AS responseLifetime, redeemed_at AS redeemedAt, revoked_at AS revokedAt, outcome`

/** When a record's retention begins (N23), as the index of migrations.ts has it. */
const END = 'max(expires_at, coalesce(redeemed_at + response_lifetime, 0))'

type TokenOperations = ReturnType<typeof prepareTokenOperations>

/** Prepares the operations on the writing connection. They include reads, which need its look-up table. */
export function prepareTokenOperations(database: DatabaseSync) {
  const lookup = createTokenLookup(database)
  const credentials = prepareSessionChanges(database)
  const isTaken = database.prepare(`SELECT 1 FROM main.tokens WHERE ${hasTokenDigest('$tokenDigest')}`)
  const insert = database.prepare(
    `INSERT INTO main.tokens (token_digest, session_digest, operation, username, client, uaf_request, created_at,
       known_revocation, expires_at, response_lifetime)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  // A sum, so that it is also defined without the row.
  const countAnonymous = database.prepare(
    'SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes FROM main.anonymous_tokens',
  )
  const redeem = database.prepare(
    `UPDATE main.tokens SET redeemed_at = $now
     WHERE ${hasTokenDigest('$tokenDigest')} AND redeemed_at IS NULL AND revoked_at IS NULL AND expires_at > $now
       AND created_at <= $now + ${CLOCK_LEEWAY_MS} AND operation = $operation
     RETURNING ${TOKEN_COLUMNS}`,
  )
  const revoke = database.prepare(
    `UPDATE main.tokens SET revoked_at = $now
     WHERE ${hasTokenDigest('$tokenDigest')} AND revoked_at IS NULL AND ${END} > $cutoff`,
  )
  const findByToken = database.prepare(
    `SELECT ${TOKEN_COLUMNS} FROM main.tokens WHERE ${hasTokenDigest('$tokenDigest')} AND ${END} > $cutoff`,
  )
  const findBySession = database.prepare(
    `SELECT ${TOKEN_COLUMNS} FROM main.tokens WHERE ${hasSessionDigest('$sessionDigest')} AND ${END} > $cutoff`,
  )
  const sweep = database.prepare(
    `DELETE FROM main.tokens WHERE id IN (SELECT id FROM main.tokens WHERE ${END} <= $cutoff LIMIT $limit)`,
  )
  const isWaiting = database.prepare(
    `SELECT 1 FROM main.tokens
     WHERE ${hasTokenDigest('$tokenDigest')} AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND outcome IS NULL
       AND ${END} > $cutoff`,
  )
  const settle = database.prepare(`UPDATE main.tokens SET outcome = $outcome WHERE ${hasTokenDigest('$tokenDigest')}`)

  function find(tokenDigest: string, now: number): TokenRecord | undefined {
    return toRecord(findByToken.get({ tokenDigest, cutoff: now - RETENTION_MS }))
  }

  function fits({ uafRequest }: TokenRecord, { maxRecords, maxBytes }: AnonymousLimit): boolean {
    const { records, bytes } = countAnonymous.get() as { records: number; bytes: number }
    return records < maxRecords && bytes + Buffer.byteLength(uafRequest) <= maxBytes
  }

  function classifyFailedRedemption(tokenDigest: string, now: number): Redemption {
    const record = find(tokenDigest, now)
    if (!record) return { outcome: 'unknown' }
    if (record.redeemedAt !== undefined || record.revokedAt !== undefined) return { outcome: 'spent' }
    if (record.expiresAt <= now) return { outcome: 'expired' }
    return { outcome: record.createdAt > now + CLOCK_LEEWAY_MS ? 'premature' : 'misdirected' }
  }

  return {
    create(record: TokenRecord, limit?: AnonymousLimit): boolean {
      if (limit && !fits(record, limit)) return false
      lookup.catchUp()
      if (isTaken.get({ tokenDigest: record.tokenDigest })) throw new Error('a token with this digest already exists')
      insert.run(...toRow(record))
      return true
    },
    redeem(tokenDigest: string, operation: FidoOperation, now: number, removal?: KeyRemoval): Redemption {
      lookup.catchUp()
      const record = toRecord(redeem.get({ tokenDigest, operation, now }))
      if (!record) return classifyFailedRedemption(tokenDigest, now)
      return { outcome: 'redeemed', record, removed: removal ? credentials.remove(removal) : [] }
    },
    settle(tokenDigest: string, { outcome, ...changes }: Settlement, now: number): SettlementResult {
      lookup.catchUp()
      if (!isWaiting.get({ tokenDigest, cutoff: now - RETENTION_MS })) return 'ended'
      const result = credentials.apply(changes, now)
      if (result === 'settled') settle.run({ tokenDigest, outcome: JSON.stringify(outcome) })
      return result
    },
    revoke(tokenDigest: string, now: number): boolean {
      lookup.catchUp()
      return revoke.run({ tokenDigest, now, cutoff: now - RETENTION_MS }).changes > 0
    },
    findByToken(tokenDigest: string, now: number): TokenRecord | undefined {
      lookup.catchUp()
      return find(tokenDigest, now)
    },
    findBySession(sessionDigest: string, now: number): TokenRecord | undefined {
      lookup.catchUp()
      return toRecord(findBySession.get({ sessionDigest, cutoff: now - RETENTION_MS }))
    },
    sweep: (cutoff: number): number => Number(sweep.run({ cutoff, limit: SWEEP_STEP }).changes),
    tidy(): number {
      lookup.catchUp()
      return lookup.tidy(SWEEP_STEP)
    },
  }
}

/** Keeps tokens in SQLite. */
export function createSqliteTokenStore({
  reader,
  read,
  write,
}: Connections<TokenOperations>): Omit<TokenStore, 'close'> {
  const isDue = reader.prepare(`SELECT 1 FROM tokens WHERE ${END} <= $cutoff LIMIT 1`)

  return {
    create: (record, limit) => write('create', record, limit),
    redeem: (tokenDigest, operation, now, removal) => write('redeem', tokenDigest, operation, now, removal),
    settle: (tokenDigest, settlement, now) => write('settle', tokenDigest, settlement, now),
    revoke: (tokenDigest, now) => write('revoke', tokenDigest, now),
    findByToken: (tokenDigest, now) => read('findByToken', tokenDigest, now),
    findBySession: (sessionDigest, now) => read('findBySession', sessionDigest, now),
    async sweep(now) {
      const cutoff = now - RETENTION_MS
      await sweepAll(async () => ((await reader.run(() => isDue.get({ cutoff }))) ? write('sweep', cutoff) : 0))
      await sweepAll(() => read('tidy'))
    },
  }
}

/** Returns the values of a new record by position: resolving names takes a third of an insert. */
function toRow(record: TokenRecord): SQLInputValue[] {
  return [
    record.tokenDigest,
    record.sessionDigest,
    record.operation,
    record.username ?? null,
    record.client ?? null,
    record.uafRequest,
    record.createdAt,
    record.knownRevocation ?? null,
    record.expiresAt,
    record.responseLifetime,
  ]
}

/** Returns the record in a row, or undefined where there is none. */
export function toRecord(row: unknown): TokenRecord | undefined {
  if (row === undefined) return undefined
  const { outcome, ...columns } = row as Record<string, unknown>
  const entries = Object.entries(columns).map(([name, value]) => [name, value ?? undefined])
  return {
    ...(Object.fromEntries(entries) as Omit<TokenRecord, 'outcome'>),
    outcome: typeof outcome === 'string' ? (JSON.parse(outcome) as SessionOutcome) : undefined,
  }
}
