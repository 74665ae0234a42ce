import type { Credential } from '../../core/ports/credential-store.ts'

/** The columns of a credential, under the names of its members. */
export const CREDENTIAL_COLUMNS = `aaid, key_id AS keyId, username, public_key AS publicKey, algorithm,
  sign_counter AS signCounter, authenticator_version AS authenticatorVersion, registered_at AS registeredAt,
  last_used_at AS lastUsedAt`

/** Returns the credential in a row, or undefined where there is none. */
export function toCredential(row: unknown): Credential | undefined {
  if (row === undefined) return undefined
  const { algorithm, lastUsedAt, ...members } = row as Omit<Credential, 'algorithm' | 'lastUsedAt'> & {
    readonly algorithm: number | null
    readonly lastUsedAt: number | null
  }
  return { ...members, algorithm: algorithm ?? undefined, lastUsedAt: lastUsedAt ?? undefined }
}
