import type { Credential } from '../../core/ports/credential-store.ts'
import type { Settlement } from '../../core/ports/token-store.ts'
import { foldAaid } from '../../core/uaf/aaid.ts'
import type { Row } from './connection.ts'
import { encode } from './text.ts'

/** Returns all members but `lastUsedAt` as JSON, always in the same order: equal texts are equal credentials. */
function formatDetails(credential: Credential): string {
  const { aaid, keyId, username, publicKey, algorithm, signCounter, authenticatorVersion, registeredAt } = credential
  return JSON.stringify({
    aaid,
    keyId,
    username,
    publicKey,
    algorithm,
    signCounter,
    authenticatorVersion,
    registeredAt,
  })
}

/** Returns the credential in a row with `details` and `lastUsedAt`. */
export function toCredential({ details, lastUsedAt }: Row): Credential {
  const { algorithm, ...members } = JSON.parse(String(details)) as Credential
  return { ...members, algorithm, lastUsedAt: (lastUsedAt as number | null) ?? undefined }
}

/** Returns the changes of keys: what each is expected to be before, null for absent, and what it becomes. */
export function toChanges({ registrations, uses }: Pick<Settlement, 'registrations' | 'uses'>) {
  return [
    ...registrations.map((credential) => toChange(credential, null, credential)),
    ...uses.map(({ credential, algorithm, signCounter }) =>
      toChange(credential, formatDetails(credential), { ...credential, algorithm, signCounter }),
    ),
  ]
}

function toChange({ aaid, keyId, username, registeredAt }: Credential, before: string | null, after: Credential) {
  return {
    aaid: foldAaid(aaid),
    key_id: keyId,
    username: encode(username),
    before,
    after: formatDetails(after),
    registered: registeredAt,
  }
}
