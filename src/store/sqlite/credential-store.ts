import type { DatabaseSync } from 'node:sqlite'
import type { Credential, CredentialStore } from '../../core/ports/credential-store.ts'
import type { KeyName } from '../../core/uaf/aaid.ts'
import type { Connections } from './calls.ts'
import { CREDENTIAL_COLUMNS, toCredential } from './credential-row.ts'

/** Prepares the writes of {@link createSqliteCredentialStore}. */
export function prepareCredentialWrites(database: DatabaseSync) {
  const remove = database.prepare('DELETE FROM main.credentials WHERE aaid = $aaid AND key_id = $keyId')

  return {
    remove: ({ aaid, keyId }: KeyName): boolean => remove.run({ aaid, keyId }).changes > 0,
  }
}

/** Keeps registered keys in SQLite. */
export function createSqliteCredentialStore({
  reader,
  write,
}: Connections<ReturnType<typeof prepareCredentialWrites>>): Omit<CredentialStore, 'close'> {
  const select = `SELECT ${CREDENTIAL_COLUMNS} FROM credentials`
  const find = reader.prepare(`${select} WHERE aaid = $aaid AND key_id = $keyId`)
  const findByUser = reader.prepare(`${select} WHERE username = $username ORDER BY registered_at, key_id`)
  const list = reader.prepare(`${select} ORDER BY username, registered_at, key_id LIMIT $limit`)
  const toCredentials = (rows: readonly unknown[]): Credential[] => rows.flatMap((row) => toCredential(row) ?? [])

  return {
    find: (names) => reader.run(() => toCredentials(names.map(({ aaid, keyId }) => find.get({ aaid, keyId })))),
    findByUser: (username) => reader.run(() => toCredentials(findByUser.all({ username }))),
    list: (limit) => reader.run(() => toCredentials(list.all({ limit }))),
    remove: (name) => write('remove', { aaid: name.aaid, keyId: name.keyId }),
  }
}
