import type { Credential } from '../../core/ports/credential-store.ts'
import type { KeyRemoval, Settlement } from '../../core/ports/token-store.ts'
import { foldAaid, keyOf } from '../../core/uaf/aaid.ts'
import { NEVER } from './token-record.ts'

/**
 * A hash of all registered keys. A step on a session may concern keys of any user, and the keys of Redis that a script
 * uses have to be known before it runs. Its fields are AAID and key id. Each value is one text: when the key was last
 * used, a space, and JSON of the other members.
 */
const CREDENTIALS_KEY = 'trimint:credentials'

/** The key of a user's set of fields of that hash, by the time of registration. */
const OF_USER_KEY = 'trimint:credentials-of:'

/** The keys of Redis that a change of a user's keys concerns. */
export interface CredentialKeys {
  readonly credentials: string
  readonly ofUser: string
}

export function keysOfUser(username: string): CredentialKeys {
  return { credentials: CREDENTIALS_KEY, ofUser: OF_USER_KEY + username }
}

/** The arguments of a redemption that deletes keys. */
export interface SelectedCredentials {
  readonly keys: CredentialKeys
  /** Pairs of AAID and key id. */
  readonly selectors: readonly string[]
}

export function selectCredentials({ username, selectors }: KeyRemoval): SelectedCredentials {
  return {
    keys: keysOfUser(username),
    selectors: selectors.flatMap(({ aaid, keyId }) => [foldAaid(aaid), keyId]),
  }
}

/** The arguments of a settlement that changes keys. */
export interface ChangedCredentials {
  readonly keys: CredentialKeys
  /** Triples of name, text as it was read, and new text. */
  readonly changes: readonly string[]
}

/** Returns undefined where a settlement changes no keys. */
export function toChanges(
  { registrations, uses }: Pick<Settlement, 'registrations' | 'uses'>,
  now: number,
): ChangedCredentials | undefined {
  const [first] = [...registrations, ...uses.map(({ credential }) => credential)]
  if (!first) return undefined
  const registered = registrations.flatMap((credential) => [keyOf(credential), '', formatCredential(credential)])
  const used = uses.flatMap(({ credential, algorithm, signCounter }) => {
    const next = { ...credential, algorithm, signCounter, lastUsedAt: now }
    return [keyOf(credential), formatIdentity(credential), formatCredential(next)]
  })
  return { keys: keysOfUser(first.username), changes: [...registered, ...used] }
}

type Identity = Omit<Credential, 'lastUsedAt'>

/** Formats everything but the last use: what must not have changed since it was read. */
export function formatIdentity(credential: Credential): string {
  const { aaid, keyId, username, publicKey, algorithm, signCounter, authenticatorVersion, registeredAt } = credential
  const identity: Identity = {
    aaid,
    keyId,
    username,
    publicKey,
    algorithm,
    signCounter,
    authenticatorVersion,
    registeredAt,
  }
  return JSON.stringify(identity)
}

function formatCredential(credential: Credential): string {
  return `${credential.lastUsedAt ?? NEVER} ${formatIdentity(credential)}`
}

/** Parses a value of the hash. */
export function parseCredential(text: string): Credential {
  const at = text.indexOf(' ')
  const lastUsedAt = text.slice(0, at)
  const { algorithm, ...identity } = JSON.parse(text.slice(at + 1)) as Identity
  return { ...identity, algorithm, lastUsedAt: lastUsedAt === NEVER ? undefined : Number(lastUsedAt) }
}
