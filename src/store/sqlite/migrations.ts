/** Statements that raise a database by one version each. An entry that was released never changes. */
export const MIGRATIONS = [
  `CREATE TABLE failures (key TEXT PRIMARY KEY, failures INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX failures_by_expiry ON failures (expires);`,
  // The rowid makes inserts append to the table.
  `CREATE TABLE tokens (
     token_digest TEXT NOT NULL UNIQUE,
     session_digest TEXT NOT NULL,
     operation TEXT NOT NULL,
     username TEXT,
     client TEXT,
     uaf_request TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     response_lifetime INTEGER NOT NULL,
     redeemed_at INTEGER,
     revoked_at INTEGER
   ) STRICT;
   CREATE INDEX tokens_by_session ON tokens (session_digest);
   CREATE INDEX tokens_by_expiry ON tokens (expires_at);`,
  // AUTOINCREMENT never reuses a number, so a reader that continues after a number misses no revocation.
  `CREATE TABLE revocations (
     number INTEGER PRIMARY KEY AUTOINCREMENT,
     subject TEXT NOT NULL,
     issued_until INTEGER NOT NULL,
     expires INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX revocations_by_expiry ON revocations (expires);
   CREATE TABLE uses (
     token_id TEXT PRIMARY KEY,
     count INTEGER NOT NULL DEFAULT 0,
     last_use INTEGER,
     expires INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX uses_by_expiry ON uses (expires);`,
  `CREATE TABLE replicas (
     id TEXT PRIMARY KEY,
     instance TEXT NOT NULL,
     keys TEXT NOT NULL,
     expires INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE signing_keys (fingerprint TEXT PRIMARY KEY, needed_until INTEGER NOT NULL) STRICT, WITHOUT ROWID;`,
  // Digests are found in memory (token-lookup.ts). AUTOINCREMENT lets each process continue after the last row it has
  // read. Table and column names stay: processes of the previous version continue to use them.
  `CREATE TABLE tokens_in_order (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     token_digest TEXT NOT NULL,
     session_digest TEXT NOT NULL,
     operation TEXT NOT NULL,
     username TEXT,
     client TEXT,
     uaf_request TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     response_lifetime INTEGER NOT NULL,
     redeemed_at INTEGER,
     revoked_at INTEGER
   ) STRICT;
   INSERT INTO tokens_in_order
     SELECT rowid, token_digest, session_digest, operation, username, client, uaf_request, created_at, expires_at,
       response_lifetime, redeemed_at, revoked_at
     FROM tokens ORDER BY rowid;
   DROP TABLE tokens;
   ALTER TABLE tokens_in_order RENAME TO tokens;
   CREATE INDEX tokens_by_expiry ON tokens (expires_at);`,
  // One row for each subject. ON CONFLICT REPLACE also applies to inserts by processes of the previous version that
  // still run. The number of the sequence is kept: cursors refer to it.
  `CREATE TABLE revocations_by_subject (
     number INTEGER PRIMARY KEY AUTOINCREMENT,
     subject TEXT NOT NULL UNIQUE ON CONFLICT REPLACE,
     issued_until INTEGER NOT NULL,
     expires INTEGER NOT NULL
   ) STRICT;
   INSERT INTO revocations_by_subject
     SELECT max(number), subject, max(issued_until), max(expires) FROM revocations GROUP BY subject;
   DELETE FROM sqlite_sequence WHERE name = 'revocations_by_subject';
   INSERT INTO sqlite_sequence (name, seq)
     SELECT 'revocations_by_subject', seq FROM sqlite_sequence WHERE name = 'revocations';
   DROP TABLE revocations;
   ALTER TABLE revocations_by_subject RENAME TO revocations;
   CREATE INDEX revocations_by_expiry ON revocations (expires);`,
  'ALTER TABLE tokens ADD COLUMN known_revocation INTEGER;',
  // A block is found among any number of other counts. The default is for inserts by processes of the previous version.
  `ALTER TABLE failures ADD COLUMN is_block INTEGER NOT NULL DEFAULT 0;
   CREATE INDEX failures_blocks ON failures (expires) WHERE is_block = 1;`,
  // Counts records without a client. Triggers also count the inserts of processes of the previous version.
  `CREATE TABLE anonymous_tokens (number INTEGER PRIMARY KEY CHECK (number = 1), records INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
   INSERT INTO anonymous_tokens SELECT 1, count(*), coalesce(sum(octet_length(uaf_request)), 0) FROM tokens WHERE client IS NULL;
   CREATE TRIGGER count_anonymous_token AFTER INSERT ON tokens WHEN new.client IS NULL BEGIN
     INSERT INTO anonymous_tokens VALUES (1, 1, octet_length(new.uaf_request))
       ON CONFLICT (number) DO UPDATE SET records = records + 1, bytes = bytes + excluded.bytes;
   END;
   CREATE TRIGGER forget_anonymous_token AFTER DELETE ON tokens WHEN old.client IS NULL BEGIN
     UPDATE anonymous_tokens SET records = records - 1, bytes = bytes - octet_length(old.uaf_request);
   END;`,
  // The index is on the expression that sweeps use: processes of the previous version, which still run, insert and
  // redeem tokens without a further column.
  `ALTER TABLE tokens ADD COLUMN outcome TEXT;
   DROP INDEX tokens_by_expiry;
   CREATE INDEX tokens_by_end ON tokens (max(expires_at, coalesce(redeemed_at + response_lifetime, 0)));
   CREATE TABLE credentials (
     aaid TEXT NOT NULL COLLATE NOCASE,
     key_id TEXT NOT NULL,
     username TEXT NOT NULL,
     public_key TEXT NOT NULL,
     algorithm INTEGER,
     sign_counter INTEGER NOT NULL,
     authenticator_version INTEGER NOT NULL,
     registered_at INTEGER NOT NULL,
     last_used_at INTEGER,
     PRIMARY KEY (aaid, key_id)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX credentials_by_user ON credentials (username, registered_at);`,
]
