import { timingSafeEqual } from 'node:crypto'
import { clientNetwork } from '../address.ts'
import type { Clock } from '../clock.ts'
import { type Keyring, signingKey } from '../crypto/keyring.ts'
import type { PasswordChecker } from '../crypto/passwords.ts'
import { createHmacSha256 } from '../crypto/sha256.ts'
import type { Guard } from '../guard.ts'
import type { Randomness } from '../randomness.ts'
import type { IdscanAccount } from './account.ts'

/** How long a password that was verified is taken at its word, in milliseconds. */
const PASSWORD_CACHE_TTL_MS = 300_000

/** argon2id of a password nobody knows: what an unknown name is checked against where no account is configured. */
const DECOY_PASSWORD_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

export type LoginResult =
  | { readonly account: IdscanAccount }
  | { readonly refused: 'unknown_account' }
  | { readonly refused: 'bad_password' | 'account_disabled'; readonly account: IdscanAccount }
  | { readonly refused: 'blocked'; readonly account: IdscanAccount | undefined; readonly retryAfter: number }

export interface IdscanLoginDependencies {
  readonly accounts: readonly IdscanAccount[]
  readonly usernameCase: 'sensitive' | 'insensitive'
  readonly passwords: PasswordChecker
  readonly guard: Guard
  readonly keyring: Keyring
  readonly clock: Clock
  readonly randomness: Randomness
}

/**
 * Checks a name and a password from an address. Unknown, disabled and wrong take the same time.
 *
 * @throws PasswordQueueFullError when too many checks are waiting.
 */
export type IdscanLogin = (username: string, password: string, address: string | undefined) => Promise<LoginResult>

export function createIdscanLogin(parts: IdscanLoginDependencies): IdscanLogin {
  const { accounts, usernameCase, passwords, guard, keyring, clock, randomness } = parts
  const fold = usernameCase === 'insensitive' ? (name: string) => name.toLowerCase() : (name: string) => name
  const byName = new Map(accounts.map((account) => [fold(account.username), account]))

  // Forgotten with the process and with its configuration. One entry an account, so it cannot grow.
  const digestUnderMemoryKey = createHmacSha256(randomness.bytes(32))
  const remembered = new Map<IdscanAccount, { digest: Buffer; until: number }>()
  const digestPassword = (stored: string, password: string): Buffer => digestUnderMemoryKey(`${stored}\0${password}`)

  /** Not this process's key: every replica has to count a name that nobody has under the same key. */
  const digestName = (name: string): Buffer => signingKey(keyring, clock()).hmac(`account name\0${name}`)

  /** A hash for a name that nobody has: one of those that are configured, always the same, so that it costs the same. */
  function decoyFor(name: string): string {
    return accounts[digestName(name).readUInt32BE() % accounts.length]?.password ?? DECOY_PASSWORD_HASH
  }

  function isRemembered(account: IdscanAccount, digest: Buffer): boolean {
    const entry = remembered.get(account)
    return entry !== undefined && clock() < entry.until && timingSafeEqual(entry.digest, digest)
  }

  return async (username, password, address) => {
    const name = fold(username)
    const account = byName.get(name)
    // A name that does not exist may be a password in the wrong field: only its keyed digest is kept.
    const counted = account ? account.username : `unknown-${digestName(name).toString('hex', 0, 8)}`
    const attempt = { address: clientNetwork(address), account: counted }
    const blocked = () => guard.blockedFor(attempt)
    const refuseBlocked = () => ({ refused: 'blocked', account, retryAfter: blocked() }) as const
    if (blocked() > 0) return refuseBlocked()

    const stored = account?.password ?? decoyFor(name)
    const digest = digestPassword(stored, password)
    if (account && !account.disabled && isRemembered(account, digest)) {
      guard.succeed(attempt)
      return { account }
    }

    const matches = await passwords.check(stored, password, () => blocked() === 0)
    // Other failures may have caused a block while this check was waiting.
    if (blocked() > 0) return refuseBlocked()
    if (matches && account && !account.disabled) {
      remembered.set(account, { digest, until: clock() + PASSWORD_CACHE_TTL_MS })
      guard.succeed(attempt)
      return { account }
    }
    await guard.fail(attempt)
    if (!account) return { refused: 'unknown_account' }
    return { refused: matches ? 'account_disabled' : 'bad_password', account }
  }
}
