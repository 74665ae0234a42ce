import type { FidoOperation } from '../../core/fido/operation.ts'
import { MAX_KEYS_PER_USER } from '../../core/ports/credential-store.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import {
  type AnonymousLimit,
  CLOCK_LEEWAY_MS,
  keptUntil,
  type Redemption,
  type SessionOutcome,
  type TokenRecord,
  type TokenStore,
} from '../../core/ports/token-store.ts'
import { foldAaid } from '../../core/uaf/aaid.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { Row, Statement } from './connection.ts'
import { toChanges, toCredential } from './credential-row.ts'
import type { Primary } from './primary.ts'
import { sqlStateOf } from './refusal.ts'
import { encode } from './text.ts'

// Each statement locks its rows in the order of their keys: otherwise two instances could wait for each other.

const CREATE: Statement = {
  name: 'create',
  text: `INSERT INTO trimint_tokens (token_digest, session_digest, operation, details, created_at, expires_at, response_lifetime)
    SELECT * FROM json_to_recordset($1)
      AS input(digest text, session text, operation text, details text, created bigint, expires bigint, lifetime bigint)
    ORDER BY digest
    ON CONFLICT DO NOTHING
    RETURNING token_digest AS digest`,
}

/**
 * Adds records one after the other as long as they fit. Locking the counters first makes the limit exact across
 * instances, whose anonymous creations wait for each other.
 */
const CREATE_ANONYMOUS: Statement = {
  name: 'create-anonymous',
  text: `WITH RECURSIVE input AS MATERIALIZED (
      SELECT * FROM json_to_recordset($1) AS input(at integer, digest text, session text, operation text, details text,
        created bigint, expires bigint, lifetime bigint, size integer, "maxRecords" bigint, "maxBytes" bigint)
    ), held AS MATERIALIZED (
      SELECT records, bytes FROM trimint_anonymous FOR UPDATE
    ), counting AS (
      SELECT -1 AS at, records, bytes, false AS fits FROM held
      UNION ALL
      SELECT at, records + fits::integer, bytes + CASE WHEN fits THEN size ELSE 0 END, fits FROM (
        SELECT input.at, counting.records, counting.bytes, size,
          counting.records < "maxRecords" AND counting.bytes + size <= "maxBytes" AS fits
        FROM counting JOIN input ON input.at = counting.at + 1
      ) AS next
    ), created AS (
      INSERT INTO trimint_tokens
        (token_digest, session_digest, operation, details, created_at, expires_at, response_lifetime, anonymous_bytes)
      SELECT digest, session, operation, details, created, expires, lifetime, size
      FROM input JOIN counting USING (at) WHERE fits ORDER BY digest
      ON CONFLICT DO NOTHING
      RETURNING token_digest, anonymous_bytes
    ), counted AS (
      UPDATE trimint_anonymous AS known SET records = known.records + added.records, bytes = known.bytes + added.bytes
      FROM (SELECT count(*) AS records, coalesce(sum(anonymous_bytes), 0) AS bytes FROM created) AS added
      WHERE added.records > 0
    )
    SELECT fits, token_digest AS created
    FROM counting JOIN input USING (at) LEFT JOIN created ON token_digest = digest ORDER BY at`,
}

const COLUMNS = `token_digest AS digest, session_digest AS session, tokens.operation, details, created_at AS created,
  expires_at AS expires, response_lifetime AS lifetime, redeemed_at AS redeemed, revoked_at AS revoked, outcome`

/** When a record's retention begins (N23). */
const END = 'greatest(expires_at, coalesce(redeemed_at + response_lifetime, 0))'

/**
 * Redeems each token for one item at most, whose index it returns. The records are returned as they were before. An
 * UPDATE that joins the input directly would lock rows in any order (measured: docs/decisions/050-postgresql.md).
 */
const REDEEM_STEPS = `WITH input AS MATERIALIZED (
      SELECT * FROM json_to_recordset($1) AS input(at integer, digest text, operation text, now bigint)
    ), locked AS MATERIALIZED (
      SELECT ${COLUMNS} FROM trimint_tokens AS tokens
      WHERE token_digest IN (SELECT digest FROM input) ORDER BY token_digest FOR UPDATE
    ), redeemed AS (
      UPDATE trimint_tokens SET redeemed_at = input.now FROM input JOIN locked USING (digest)
      WHERE token_digest = input.digest AND locked.redeemed IS NULL AND locked.revoked IS NULL
        AND locked.expires > input.now AND locked.created <= input.now + ${CLOCK_LEEWAY_MS}
        AND locked.operation = input.operation
      RETURNING token_digest, input.at
    )`

const REDEEM: Statement = {
  name: 'redeem',
  text: `${REDEEM_STEPS} SELECT locked.*, redeemed.at FROM locked LEFT JOIN redeemed ON token_digest = digest`,
}

/**
 * Deletes the selected keys of the user `$2` as well, where the token is redeemed. PostgreSQL hashes what `IN` searches,
 * so that many selectors and many keys do not multiply.
 */
const REDEEM_AND_REMOVE: Statement = {
  name: 'redeem-and-remove',
  text: `${REDEEM_STEPS}, selected AS MATERIALIZED (
      SELECT aaid, key FROM json_to_recordset($3) AS selector(aaid text, key text)
    ), removed AS (
      DELETE FROM trimint_credentials AS known USING redeemed
      WHERE username = $2 AND (
        (known.aaid, known.key_id) IN (SELECT aaid, key FROM selected)
        OR (known.aaid, '') IN (SELECT aaid, key FROM selected)
        OR ('', known.key_id) IN (SELECT aaid, key FROM selected)
        OR ('', '') IN (SELECT aaid, key FROM selected)
      ) RETURNING details, last_used_at AS "lastUsedAt"
    )
    SELECT locked.*, redeemed.at, (SELECT json_agg(removed) FROM removed) AS removed
    FROM locked LEFT JOIN redeemed ON token_digest = digest`,
}

/**
 * Writes all or nothing. A key that another session registers at the same time violates the primary key. Each new key
 * takes a free slot of its user, of which there are as many as keys are allowed: two sessions that take the same one at
 * the same time violate its index. Random slots make that rare.
 */
const SETTLE: Statement = {
  name: 'settle',
  text: `WITH input AS MATERIALIZED (
      SELECT * FROM json_to_recordset($3)
        AS input(aaid text, key_id text, username text, before text, after text, registered bigint)
    ), session AS MATERIALIZED (
      SELECT token_digest FROM trimint_tokens
      WHERE token_digest = $1 AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND outcome IS NULL AND ${END} > $5
      FOR UPDATE
    ), known AS MATERIALIZED (
      SELECT aaid, key_id, details FROM trimint_credentials
      WHERE (aaid, key_id) IN (SELECT aaid, key_id FROM input) ORDER BY aaid, key_id FOR UPDATE
    ), fresh AS MATERIALIZED (
      SELECT *, row_number() OVER (ORDER BY aaid, key_id) AS at FROM input WHERE before IS NULL
    ), taken AS MATERIALIZED (
      SELECT slot FROM trimint_credentials WHERE username = (SELECT username FROM fresh LIMIT 1) AND slot IS NOT NULL
    ), free AS MATERIALIZED (
      SELECT slot, row_number() OVER (ORDER BY random()) AS at FROM generate_series(1, ${MAX_KEYS_PER_USER}) AS slot
      WHERE slot NOT IN (SELECT slot FROM taken)
    ), verdict AS MATERIALIZED (
      SELECT *, unchanged AND room AS fits FROM (
        SELECT EXISTS (SELECT FROM session) AS waits,
          NOT EXISTS (
            SELECT FROM input LEFT JOIN known USING (aaid, key_id) WHERE before IS DISTINCT FROM known.details
          ) AS unchanged,
          (SELECT count(*) FROM fresh) <= (SELECT count(*) FROM free) AS room
      ) AS checks
    ), registered AS (
      INSERT INTO trimint_credentials (aaid, key_id, username, details, registered_at, slot)
      SELECT aaid, key_id, username, after, registered, slot FROM fresh JOIN free USING (at), verdict
      WHERE waits AND fits ORDER BY aaid, key_id
    ), used AS (
      UPDATE trimint_credentials AS known SET details = after, last_used_at = $4 FROM input, verdict
      WHERE waits AND fits AND before IS NOT NULL AND known.aaid = input.aaid AND known.key_id = input.key_id
    ), settled AS (
      UPDATE trimint_tokens SET outcome = $2 FROM verdict WHERE waits AND fits AND token_digest = $1
    )
    SELECT waits, unchanged, room FROM verdict`,
}

const UNIQUE_VIOLATION = '23505'

/** Each attempt after the first follows a registration of the same key, or by the same user. */
const MAX_SETTLE_ATTEMPTS = 10

const REVOKE: Statement = {
  name: 'revoke',
  text: `UPDATE trimint_tokens SET revoked_at = $2
    WHERE token_digest = $1 AND revoked_at IS NULL AND ${END} > $3 RETURNING 1`,
}

const FIND_BY_TOKEN: Statement = {
  name: 'find-by-token',
  text: `SELECT ${COLUMNS} FROM trimint_tokens AS tokens WHERE token_digest = $1 AND ${END} > $2`,
}

const FIND_BY_SESSION: Statement = {
  name: 'find-by-session',
  text: `SELECT ${COLUMNS} FROM trimint_tokens AS tokens WHERE session_digest = $1 AND ${END} > $2`,
}

const SWEEP: Statement = {
  name: 'sweep-tokens',
  text: `WITH gone AS (
      DELETE FROM trimint_tokens WHERE token_digest IN (
        SELECT token_digest FROM trimint_tokens WHERE expires_at <= $1 AND ${END} <= $1 LIMIT ${SWEEP_STEP} FOR UPDATE SKIP LOCKED
      ) RETURNING anonymous_bytes
    ), counted AS (
      UPDATE trimint_anonymous AS known SET records = known.records - less.records, bytes = known.bytes - less.bytes
      FROM (SELECT count(anonymous_bytes) AS records, coalesce(sum(anonymous_bytes), 0) AS bytes FROM gone) AS less
      WHERE less.records > 0
    )
    SELECT count(*) AS deleted FROM gone`,
}

type NewRow = ReturnType<typeof toRow>

interface AnonymousRow {
  readonly row: NewRow
  readonly limit: AnonymousLimit
}

interface RedeemItem {
  readonly digest: string
  readonly operation: FidoOperation
  readonly now: number
}

/** Keeps tokens in PostgreSQL. Calls that come together share one statement. */
export function createPostgresTokenStore({ run, gather }: Pick<Primary, 'run' | 'gather'>): Omit<TokenStore, 'close'> {
  const create = gather(async (items: readonly NewRow[], run) => {
    const rows = await run(CREATE, [JSON.stringify(items)])
    const created = new Set(rows.map(({ digest }) => digest))
    // Of two items with the same digest, one is new.
    return items.map(({ digest }) => created.delete(digest))
  })

  const createAnonymous = gather(async (items: readonly AnonymousRow[], run) => {
    const input = items.map(({ row, limit }, at) => ({ at, ...row, size: Buffer.byteLength(row.details), ...limit }))
    const rows = await run(CREATE_ANONYMOUS, [JSON.stringify(input)])
    const created = new Set(rows.map((row) => row.created))
    return rows.map(({ fits }, at) => ({ fits: fits === true, isNew: created.delete(items[at]?.row.digest) }))
  })

  const redeem = gather(async (items: readonly RedeemItem[], run) => {
    const rows = await run(REDEEM, [JSON.stringify(items.map((item, at) => ({ at, ...item })))])
    const byDigest = new Map(rows.map((row) => [String(row.digest), row]))
    return items.map((item, at) => redemptionOf(byDigest.get(item.digest), item, at))
  })

  return {
    async create(record, limit) {
      const row = toRow(record)
      const { fits, isNew } = limit ? await createAnonymous({ row, limit }) : { fits: true, isNew: await create(row) }
      if (fits && !isNew) throw new Error('a token with this digest already exists')
      return fits
    },
    async redeem(digest, operation, now, removal) {
      const item = { digest, operation, now }
      if (!removal) return redeem(item)
      const [row] = await run(REDEEM_AND_REMOVE, [
        JSON.stringify([{ at: 0, ...item }]),
        encode(removal.username),
        JSON.stringify(removal.selectors.map(({ aaid, keyId }) => ({ aaid: foldAaid(aaid), key: keyId }))),
      ])
      return redemptionOf(row, item, 0)
    },
    async settle(tokenDigest, { outcome, ...changes }, now) {
      const values = [tokenDigest, JSON.stringify(outcome), JSON.stringify(toChanges(changes)), now, now - RETENTION_MS]
      for (let attempts = 0; attempts < MAX_SETTLE_ATTEMPTS; attempts++) {
        try {
          const [row] = await run(SETTLE, values)
          if (row?.waits !== true) return 'ended'
          if (row.unchanged !== true) return 'conflict'
          return row.room === true ? 'settled' : 'full'
        } catch (error) {
          // The next attempt sees what the other session has registered.
          if (sqlStateOf(error) !== UNIQUE_VIOLATION) throw error
        }
      }
      return 'conflict'
    },
    async revoke(tokenDigest, now) {
      return (await run(REVOKE, [tokenDigest, now, now - RETENTION_MS])).length > 0
    },
    async findByToken(tokenDigest, now) {
      const [row] = await run(FIND_BY_TOKEN, [tokenDigest, now - RETENTION_MS])
      return row && toRecord(row)
    },
    async findBySession(sessionDigest, now) {
      const [row] = await run(FIND_BY_SESSION, [sessionDigest, now - RETENTION_MS])
      return row && toRecord(row)
    },
    sweep: (now) => sweepAll(async () => Number((await run(SWEEP, [now - RETENTION_MS]))[0]?.deleted)),
  }
}

/** Derives the outcome from the row before {@link REDEEM}, under the same conditions. */
function redemptionOf(row: Row | undefined, { operation, now }: RedeemItem, at: number): Redemption {
  const record = row && toRecord(row)
  if (!record || keptUntil(record) <= now) return { outcome: 'unknown' }
  if (row.at === at) {
    const removed = ((row.removed as Row[] | null | undefined) ?? []).map(toCredential)
    return { outcome: 'redeemed', record: { ...record, redeemedAt: now }, removed }
  }
  const isRedeemed = row.at !== null || record.redeemedAt !== undefined
  if (isRedeemed || record.revokedAt !== undefined) return { outcome: 'spent' }
  if (record.expiresAt <= now) return { outcome: 'expired' }
  if (record.createdAt > now + CLOCK_LEEWAY_MS) return { outcome: 'premature' }
  if (record.operation !== operation) return { outcome: 'misdirected' }
  throw new Error('PostgreSQL has not redeemed a token that can be redeemed')
}

type Details = Pick<TokenRecord, 'username' | 'client' | 'uafRequest' | 'knownRevocation'>

function toRow(record: TokenRecord) {
  const { username, client, uafRequest, knownRevocation } = record
  const details: Details = { username, client, uafRequest, knownRevocation }
  return {
    digest: record.tokenDigest,
    session: record.sessionDigest,
    operation: record.operation,
    details: JSON.stringify(details),
    created: record.createdAt,
    expires: record.expiresAt,
    lifetime: record.responseLifetime,
  }
}

function toRecord(row: Row): TokenRecord {
  const { username, client, uafRequest, knownRevocation } = JSON.parse(String(row.details)) as Details
  return {
    tokenDigest: String(row.digest),
    sessionDigest: String(row.session),
    operation: row.operation as FidoOperation,
    username,
    client,
    uafRequest,
    createdAt: Number(row.created),
    knownRevocation,
    expiresAt: Number(row.expires),
    responseLifetime: Number(row.lifetime),
    redeemedAt: (row.redeemed as number | null) ?? undefined,
    revokedAt: (row.revoked as number | null) ?? undefined,
    outcome: typeof row.outcome === 'string' ? (JSON.parse(row.outcome) as SessionOutcome) : undefined,
  }
}
