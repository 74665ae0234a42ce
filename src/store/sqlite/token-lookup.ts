import type { DatabaseSync } from 'node:sqlite'

/**
 * Finds rows of tokens by their digests in a table in memory, some 90 bytes a row. In the file, an index of random
 * digests writes one more page for each digest: with a million rows an insert takes 107 µs instead of 32
 * (docs/decisions/002-sqlite-token-lookup.md). The table belongs to the connection's transactions, so a rollback undoes
 * both.
 */
export interface TokenLookup {
  /** Reads the rows that were added since, by this process or another. Call it before every look-up. */
  catchUp(): void
  /** Drops rows below the first that is left in the file. Returns how many, up to a limit. */
  tidy(limit: number): number
}

/** Keys are prefixes of digests, 66 bits of base64url: the rows themselves decide. */
const KEY_LENGTH = 11

/** An SQL condition for rows of `main.tokens` whose digest may be the value of a parameter. */
export const hasTokenDigest = (parameter: string) =>
  `id IN (SELECT id FROM lookup.tokens WHERE token_key = substr(${parameter}, 1, ${KEY_LENGTH})) AND token_digest = ${parameter}`
export const hasSessionDigest = (parameter: string) =>
  `id IN (SELECT id FROM lookup.tokens WHERE session_key = substr(${parameter}, 1, ${KEY_LENGTH})) AND session_digest = ${parameter}`

export function createTokenLookup(database: DatabaseSync): TokenLookup {
  database.exec(
    `ATTACH ':memory:' AS lookup;
     CREATE TABLE lookup.tokens (id INTEGER PRIMARY KEY, token_key TEXT NOT NULL, session_key TEXT NOT NULL) STRICT;`,
  )
  const catchUp = database.prepare(
    `INSERT INTO lookup.tokens
       SELECT id, substr(token_digest, 1, ${KEY_LENGTH}), substr(session_digest, 1, ${KEY_LENGTH}) FROM main.tokens
       WHERE id > (SELECT coalesce(max(id), 0) FROM lookup.tokens)`,
  )
  const tidy = database.prepare(
    `DELETE FROM lookup.tokens WHERE id IN (
       SELECT id FROM lookup.tokens
       WHERE id < (SELECT coalesce(min(id), 9223372036854775807) FROM main.tokens) LIMIT $limit)`,
  )
  // A million rows take a second, longer than a call may take. Indexes that are created before take three times as long.
  catchUp.run()
  database.exec(
    `CREATE INDEX lookup.tokens_by_token ON tokens (token_key);
     CREATE INDEX lookup.tokens_by_session ON tokens (session_key);`,
  )
  return {
    catchUp: () => void catchUp.run(),
    tidy: (limit) => Number(tidy.run({ limit }).changes),
  }
}
