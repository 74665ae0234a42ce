import type { KeyName } from '../uaf/aaid.ts'

/** A user who registers again and again, or a caller without credentials, must not fill the store (U38). */
export const MAX_KEYS_PER_USER = 32

/** A registered key of a user's authenticator. All times are milliseconds since the epoch. */
export interface Credential extends KeyName {
  readonly username: string
  /** SPKI in DER, as base64url. */
  readonly publicKey: string
  /** ALG_SIGN; undefined until the first authentication where the registration did not tell. */
  readonly algorithm: number | undefined
  readonly signCounter: number
  readonly authenticatorVersion: number
  readonly registeredAt: number
  readonly lastUsedAt: number | undefined
}

/** What an authentication changes of a credential. */
export interface CredentialUse {
  /** As it was read: the change is made only where nothing but `lastUsedAt` has changed since. */
  readonly credential: Credential
  readonly algorithm: number
  readonly signCounter: number
}

/**
 * Stores registered keys. AAID and key id identify a key among those of all users. Registrations, authentications and
 * deregistrations write through the token store, in the step that settles or redeems (token-store.ts). A store that
 * fails rejects within a second.
 */
export interface CredentialStore {
  /** Finds keys by their names, in any order. Unknown ones are left out. */
  find(names: readonly KeyName[]): Promise<Credential[]>
  /** Lists the keys of a user, the oldest first. */
  findByUser(username: string): Promise<Credential[]>
  /** Lists keys of all users. */
  list(limit: number): Promise<Credential[]>
  /** Deletes a key. Resolves to false for an unknown one. */
  remove(name: KeyName): Promise<boolean>
  close(): Promise<void>
}
