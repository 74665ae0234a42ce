import type { Connection, Statement } from './connection.ts'
import { RefusedError } from './refusal.ts'

/**
 * Each step migrates the tables by one version. A released step never changes.
 *
 * - Keys have the collation "C": indexes stay valid when an upgrade of the system changes its collations.
 * - `fillfactor` leaves room for updates that need no new index entries (HOT). No index covers a column that they change.
 * - Sweeping deletes many rows. Vacuuming early lets new rows use their space.
 * - JSON in a text column holds NUL and lone surrogates, which `text` and `json` reject.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE trimint_tokens (
    token_digest text COLLATE "C" PRIMARY KEY,
    session_digest text COLLATE "C" NOT NULL UNIQUE,
    operation text NOT NULL,
    details text NOT NULL, -- JSON
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    response_lifetime bigint NOT NULL,
    redeemed_at bigint,
    revoked_at bigint,
    outcome text, -- JSON
    anonymous_bytes integer -- of details, where the record counts against the limit on anonymous records
  ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
  CREATE INDEX trimint_tokens_expires_at ON trimint_tokens (expires_at);

  -- One row: the records and bytes that count against the limit on anonymous records.
  CREATE TABLE trimint_anonymous (records bigint NOT NULL, bytes bigint NOT NULL) WITH (fillfactor = 10);
  INSERT INTO trimint_anonymous VALUES (0, 0);

  CREATE TABLE trimint_revocations (
    subject text COLLATE "C" PRIMARY KEY, -- JSON
    issued_until bigint NOT NULL,
    expires bigint NOT NULL,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id()
  );
  CREATE INDEX trimint_revocations_transaction ON trimint_revocations (transaction, subject);
  CREATE INDEX trimint_revocations_expires ON trimint_revocations (expires);

  CREATE TABLE trimint_uses (
    token_id text COLLATE "C" PRIMARY KEY, -- JSON
    uses bigint NOT NULL DEFAULT 0,
    counted bigint NOT NULL DEFAULT 0, -- uses that the last statement counted
    last_use bigint,
    kept_until bigint NOT NULL
  ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
  CREATE INDEX trimint_uses_kept_until ON trimint_uses (kept_until);

  CREATE TABLE trimint_failures (
    key text COLLATE "C" PRIMARY KEY, -- JSON
    failures bigint NOT NULL,
    expires bigint NOT NULL,
    is_block boolean NOT NULL DEFAULT false
  ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
  CREATE INDEX trimint_failures_expires ON trimint_failures (expires);
  CREATE INDEX trimint_failures_blocks ON trimint_failures (expires) WHERE is_block;

  CREATE TABLE trimint_announcements (
    id text COLLATE "C" PRIMARY KEY,
    instance text NOT NULL,
    keys text NOT NULL, -- JSON
    expires bigint NOT NULL
  );
  CREATE TABLE trimint_signing_keys (fingerprint text COLLATE "C" PRIMARY KEY, needed_until bigint NOT NULL);

  CREATE TABLE trimint_credentials (
    aaid text COLLATE "C" NOT NULL, -- in upper case
    key_id text COLLATE "C" NOT NULL,
    username text COLLATE "C" NOT NULL, -- JSON
    details text NOT NULL, -- JSON of all members but last_used_at
    registered_at bigint NOT NULL,
    last_used_at bigint,
    PRIMARY KEY (aaid, key_id)
  );
  CREATE INDEX trimint_credentials_username ON trimint_credentials (username, registered_at);

  -- Written beside each reading of revocations, one row for each connection.
  CREATE TABLE trimint_beats (backend integer PRIMARY KEY, at timestamptz NOT NULL) WITH (fillfactor = 50);`,
  // Numbers the keys of a user from 1: the index makes the limit on them exact across instances.
  `ALTER TABLE trimint_credentials ADD COLUMN slot integer;
  UPDATE trimint_credentials AS known SET slot = numbered.slot FROM (
    SELECT aaid, key_id, row_number() OVER (PARTITION BY username ORDER BY registered_at, key_id) AS slot
    FROM trimint_credentials
  ) AS numbered WHERE known.aaid = numbered.aaid AND known.key_id = numbered.key_id;
  CREATE UNIQUE INDEX trimint_credentials_slot ON trimint_credentials (username, slot);`,
]

/** Identifies the lock of migrations among the advisory locks of the database. */
const LOCK = 7_268_101

/** Reads the catalogue: `to_regclass` may repeat an answer from before this session waited for the lock. */
const FIND_SCHEMA: Statement = {
  name: 'find-schema',
  text: `SELECT current_setting('server_encoding') AS encoding,
    EXISTS (SELECT FROM pg_class WHERE relname = 'trimint_schema' AND pg_table_is_visible(oid)) AS exists`,
}

const READ_VERSION: Statement = { name: 'read-schema-version', text: 'SELECT version FROM trimint_schema' }

const FIND_MISSING_RIGHTS: Statement = {
  name: 'find-missing-rights',
  text: `SELECT right_name || ' on ' || relname AS missing
    FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_name
    WHERE relname LIKE 'trimint\\_%' AND relname <> 'trimint_schema' AND relkind = 'r' AND pg_table_is_visible(oid)
      AND NOT has_table_privilege(oid, right_name)
    ORDER BY relname, right_name`,
}

/**
 * Creates or migrates the tables where necessary.
 *
 * @throws RefusedError where they are missing or old and must not be changed, where a newer release has migrated them,
 *   where the user lacks rights, or where the database has another encoding than UTF-8.
 */
export async function prepareSchema(connection: Connection, { create }: { create: boolean }): Promise<void> {
  await updateSchema(connection, create)
  const missing = (await connection.run(FIND_MISSING_RIGHTS, [])).map((row) => row.missing)
  if (missing.length > 0) throw new RefusedError(`the user lacks the rights ${missing.join(', ')}`)
}

async function updateSchema(connection: Connection, create: boolean): Promise<void> {
  const version = await readVersion(connection)
  if (version === MIGRATIONS.length) return
  if (version > MIGRATIONS.length) {
    throw new RefusedError(`the store is of version ${version}, this release knows versions up to ${MIGRATIONS.length}`)
  }
  if (!create) {
    throw new RefusedError(
      version === 0
        ? 'the database contains no store'
        : `the store is of version ${version}; a server of this release migrates it to ${MIGRATIONS.length}`,
    )
  }
  await migrate(connection)
}

/** Returns 0 for a database without a store. */
async function readVersion(connection: Connection): Promise<number> {
  const [row] = await connection.run(FIND_SCHEMA, [])
  if (row?.encoding !== 'UTF8') throw new RefusedError(`the database is encoded in ${row?.encoding}; expected UTF8`)
  if (row.exists !== true) return 0
  return Number((await connection.run(READ_VERSION, []))[0]?.version)
}

/** Of several instances that start at once, one migrates the tables and the others wait for it. */
async function migrate(connection: Connection): Promise<void> {
  await connection.runScript('BEGIN')
  try {
    await connection.runScript(`SET LOCAL lock_timeout = '4s'; SET LOCAL statement_timeout = '4s'`)
    await connection.runScript(`SELECT pg_advisory_xact_lock(${LOCK})`)
    const version = await readVersion(connection)
    if (version === 0) await connection.runScript('CREATE TABLE trimint_schema AS SELECT 0 AS version')
    for (const migration of MIGRATIONS.slice(version)) await connection.runScript(migration)
    await connection.runScript(`UPDATE trimint_schema SET version = ${MIGRATIONS.length}`)
    await connection.runScript('COMMIT')
  } catch (error) {
    await connection.runScript('ROLLBACK').catch(() => undefined)
    throw error
  }
}
