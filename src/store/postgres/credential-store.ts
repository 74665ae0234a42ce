import type { CredentialStore } from '../../core/ports/credential-store.ts'
import { foldAaid } from '../../core/uaf/aaid.ts'
import type { Statement } from './connection.ts'
import { toCredential } from './credential-row.ts'
import type { Primary } from './primary.ts'
import { encode } from './text.ts'

const COLUMNS = 'details, last_used_at AS "lastUsedAt"'

const FIND: Statement = {
  name: 'find-credentials',
  text: `SELECT ${COLUMNS} FROM trimint_credentials
    WHERE (aaid, key_id) IN (SELECT aaid, key FROM json_to_recordset($1) AS input(aaid text, key text))`,
}

const FIND_BY_USER: Statement = {
  name: 'find-credentials-of-user',
  text: `SELECT ${COLUMNS} FROM trimint_credentials WHERE username = $1 ORDER BY registered_at, key_id`,
}

const LIST: Statement = {
  name: 'list-credentials',
  text: `SELECT ${COLUMNS} FROM trimint_credentials ORDER BY username, registered_at, key_id LIMIT $1`,
}

const REMOVE: Statement = {
  name: 'remove-credential',
  text: 'DELETE FROM trimint_credentials WHERE aaid = $1 AND key_id = $2 RETURNING 1',
}

/** Keeps registered keys in PostgreSQL. */
export function createPostgresCredentialStore({ run }: Pick<Primary, 'run'>): Omit<CredentialStore, 'close'> {
  return {
    async find(names) {
      const input = names.map(({ aaid, keyId }) => ({ aaid: foldAaid(aaid), key: keyId }))
      return (await run(FIND, [JSON.stringify(input)])).map(toCredential)
    },
    findByUser: async (username) => (await run(FIND_BY_USER, [encode(username)])).map(toCredential),
    list: async (limit) => (await run(LIST, [limit])).map(toCredential),
    remove: async ({ aaid, keyId }) => (await run(REMOVE, [foldAaid(aaid), keyId])).length > 0,
  }
}
