import type { DatabaseSync } from 'node:sqlite'
import { type Credential, MAX_KEYS_PER_USER } from '../../core/ports/credential-store.ts'
import type { KeyRemoval, KeySelector, Settlement, SettlementResult } from '../../core/ports/token-store.ts'
import { type KeyName, keyOf } from '../../core/uaf/aaid.ts'
import { CREDENTIAL_COLUMNS, toCredential } from './credential-row.ts'

/** What redemptions and settlements change of keys, in the transaction of the token's change. */
export interface SessionChanges {
  /** Registers and updates keys, all of them or none. */
  apply(changes: Pick<Settlement, 'registrations' | 'uses'>, now: number): Exclude<SettlementResult, 'ended'>
  /** Deletes the selected keys of a user, and returns them. */
  remove(removal: KeyRemoval): Credential[]
}

export function prepareSessionChanges(database: DatabaseSync): SessionChanges {
  const find = database.prepare(
    `SELECT ${CREDENTIAL_COLUMNS} FROM main.credentials WHERE aaid = $aaid AND key_id = $keyId`,
  )
  const count = database.prepare('SELECT count(*) AS keys FROM main.credentials WHERE username = $username')
  const insert = database.prepare(
    `INSERT INTO main.credentials (aaid, key_id, username, public_key, algorithm, sign_counter, authenticator_version,
       registered_at)
     VALUES ($aaid, $keyId, $username, $publicKey, $algorithm, $signCounter, $authenticatorVersion, $registeredAt)`,
  )
  const update = database.prepare(
    `UPDATE main.credentials SET algorithm = $algorithm, sign_counter = $signCounter, last_used_at = $now
     WHERE aaid = $aaid AND key_id = $keyId`,
  )
  const findByUser = database.prepare(`SELECT ${CREDENTIAL_COLUMNS} FROM main.credentials WHERE username = $username`)
  const remove = database.prepare('DELETE FROM main.credentials WHERE aaid = $aaid AND key_id = $keyId')

  function findCredential({ aaid, keyId }: Credential): Credential | undefined {
    return toCredential(find.get({ aaid, keyId }))
  }

  function hasRoom(registrations: Settlement['registrations']): boolean {
    const [first] = registrations
    if (!first) return true
    const { keys } = count.get({ username: first.username }) as { keys: number }
    return keys + registrations.length <= MAX_KEYS_PER_USER
  }

  return {
    apply({ registrations, uses }, now) {
      const isUnchanged = uses.every(({ credential }) => isSame(credential, findCredential(credential)))
      if (!isUnchanged || registrations.some(findCredential)) return 'conflict'
      if (!hasRoom(registrations)) return 'full'
      for (const { algorithm = null, lastUsedAt: _, ...columns } of registrations) insert.run({ ...columns, algorithm })
      for (const { credential, algorithm, signCounter } of uses) {
        const { aaid, keyId } = credential
        update.run({ aaid, keyId, algorithm, signCounter, now })
      }
      return 'settled'
    },
    remove({ username, selectors }) {
      const all = findByUser.all({ username }).map(toCredential)
      const removed = all.filter((credential) => credential !== undefined).filter(createSelection(selectors))
      for (const { aaid, keyId } of removed) remove.run({ aaid, keyId })
      return removed
    },
  }
}

/** Creates a test that takes the same time for any number of selectors: no other write begins before the last test. */
function createSelection(selectors: readonly KeySelector[]): (key: KeyName) => boolean {
  const selected = new Set(selectors.map(keyOf))
  return ({ aaid, keyId }) =>
    [aaid, ''].some((a) => [keyId, ''].some((k) => selected.has(keyOf({ aaid: a, keyId: k }))))
}

/** Returns whether a key is registered as it was read. Other responses may have used it meanwhile. */
function isSame({ lastUsedAt: _, ...read }: Credential, stored: Credential | undefined): boolean {
  return (
    stored !== undefined && Object.entries(read).every(([name, value]) => stored[name as keyof Credential] === value)
  )
}
