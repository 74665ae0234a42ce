import type { FailureCount } from './ports/failed-attempt-store.ts'

/** When the guard blocks, and for how long. */
export interface GuardSettings {
  /** Wrong passwords for an account from one address that lead to a block. */
  readonly accountFailures: number
  /** Wrong machine secrets from one address that lead to a block; wrong passwords likewise, in a count of their own. */
  readonly addressFailures: number
  /** Seconds after the first failure in which failures add up. */
  readonly window: number
  /** Seconds that a block lasts. */
  readonly block: number
}

/** An attempt to authenticate. */
export interface Attempt {
  /** A network of `clientNetwork` (address.ts). */
  readonly address: string
  /** The account whose password is checked; undefined for the secret of a machine. */
  readonly account?: string | undefined
}

/** A count that an attempt contributes to, and the failures at which it is a block. */
export interface Scope {
  /** As `trimint guard list` shows it. */
  readonly key: string
  readonly limit: number
}

/** Failures from all addresses together block an account at `accountFailures` times this factor. */
const GLOBAL_LIMIT_FACTOR = 10

const SECRETS_OF_ADDRESS = 'address '
const PASSWORDS_OF_ADDRESS = 'passwords from '
const EVERYWHERE = 'everywhere'

/** Returns the count of one account from one address. */
export function accountScope(account: string, address: string, settings: GuardSettings): Scope {
  return { key: `account ${account} from ${address}`, limit: settings.accountFailures }
}

/** Returns the count of wrong passwords for all accounts from one address. */
export function passwordsScope(address: string, settings: GuardSettings): Scope {
  return { key: `${PASSWORDS_OF_ADDRESS}${address}`, limit: settings.addressFailures }
}

/** Returns the counts that an attempt contributes to. */
export function scopesOf({ address, account }: Attempt, settings: GuardSettings): readonly Scope[] {
  if (account === undefined) return [{ key: `${SECRETS_OF_ADDRESS}${address}`, limit: settings.addressFailures }]
  const { key } = accountScope(account, EVERYWHERE, settings)
  return [
    accountScope(account, address, settings),
    { key, limit: settings.accountFailures * GLOBAL_LIMIT_FACTOR },
    passwordsScope(address, settings),
  ]
}

/** Tells whether a count covers an address, whatever the account. */
export function isAddressKey(key: string): boolean {
  return key.startsWith(SECRETS_OF_ADDRESS) || key.startsWith(PASSWORDS_OF_ADDRESS)
}

/** Tells whether a listed count is a block. */
export function isBlock({ key, failures }: FailureCount, settings: GuardSettings): boolean {
  if (isAddressKey(key)) return failures >= settings.addressFailures
  return failures >= settings.accountFailures * (key.endsWith(` from ${EVERYWHERE}`) ? GLOBAL_LIMIT_FACTOR : 1)
}
