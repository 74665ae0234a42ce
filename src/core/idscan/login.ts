import { timingSafeEqual } from 'node:crypto'
import { clientNetwork } from '../address.ts'
import type { Clock } from '../clock.ts'
import type { Keyring } from '../crypto/keyring.ts'
import { type PasswordChecker, PasswordQueueFullError } from '../crypto/passwords.ts'
import { createHmacSha256 } from '../crypto/sha256.ts'
import type { Guard } from '../guard.ts'
import type { Randomness } from '../randomness.ts'
import type { IdscanAccount } from './account.ts'

/** How long a successful password check is cached. */
const PASSWORD_CACHE_TTL_MS = 300_000

/** A hash whose password is unknown. It is the decoy for unknown names when no account is configured. */
const DECOY_PASSWORD_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

/** Attempts at one name from one address that wait for the one before them. */
const MAX_WAITING_ATTEMPTS = 64

export type LoginResult =
  | { readonly account: IdscanAccount }
  | { readonly refused: 'unknown_account' }
  | { readonly refused: 'bad_password' | 'account_disabled'; readonly account: IdscanAccount }
  | { readonly refused: 'blocked'; readonly account: IdscanAccount | undefined; readonly retryAfterMs: number }

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
 * Checks a username and a password from an address. Unknown names, disabled accounts and wrong passwords take the same
 * time. Attempts at one name from one address are evaluated one after the other, so that the guard counts each before
 * the next.
 *
 * @throws PasswordQueueFullError when too many checks wait.
 */
export type IdscanLogin = (username: string, password: string, address: string | undefined) => Promise<LoginResult>

export function createIdscanLogin(dependencies: IdscanLoginDependencies): IdscanLogin {
  const { accounts, usernameCase, passwords, guard, keyring, clock, randomness } = dependencies
  const fold = usernameCase === 'insensitive' ? (name: string) => name.toLowerCase() : (name: string) => name
  const byName = new Map(accounts.map((account) => [fold(account.username), account]))

  // The key lives as long as this configuration. One cache entry per account keeps the cache bounded.
  const digestUnderCacheKey = createHmacSha256(randomness.bytes(32))
  const cachedPasswords = new Map<IdscanAccount, { digest: Buffer; until: number }>()
  const digestPassword = (stored: string, password: string): Buffer => digestUnderCacheKey(`${stored}\0${password}`)

  // A configured key, not the cache's: every instance has to count an unknown name under the same digest. Expired or not:
  // unknown names must look like known ones when every key has expired.
  const [namingKey] = keyring
  if (!namingKey) throw new RangeError('no key is configured; expected at least one')
  const digestName = (name: string): Buffer => namingKey.hmac(`account name\0${name}`)

  /**
   * Returns a configured hash for an unknown name, the same one each time, so that the check takes as long as for an
   * account.
   */
  function decoyFor(name: string): string {
    return accounts[digestName(name).readUInt32BE() % accounts.length]?.password ?? DECOY_PASSWORD_HASH
  }

  function findCached(account: IdscanAccount): Buffer | undefined {
    const entry = cachedPasswords.get(account)
    return entry && clock() < entry.until ? entry.digest : undefined
  }

  function isCached(account: IdscanAccount, digest: Buffer): boolean {
    const cached = findCached(account)
    return cached !== undefined && timingSafeEqual(cached, digest)
  }

  const underWay = new Map<string, Promise<LoginResult>>()
  const waiting = new Map<string, number>()

  /** @throws PasswordQueueFullError when too many attempts wait. */
  function countWaiting(key: string, change: 1 | -1): void {
    const count = (waiting.get(key) ?? 0) + change
    if (count > MAX_WAITING_ATTEMPTS) throw new PasswordQueueFullError('too many attempts at one name are waiting')
    if (count > 0) waiting.set(key, count)
    else waiting.delete(key)
  }

  return async (username, password, address) => {
    const name = fold(username)
    const account = byName.get(name)
    // An unknown name may be a password typed into the wrong field, so only its keyed digest is stored.
    const counted = account ? account.username : `unknown-${digestName(name).toString('hex', 0, 8)}`
    const attempt = { address: clientNetwork(address), account: counted }
    const blocked = () => guard.blockedFor(attempt)
    const refuseBlocked = () => ({ refused: 'blocked', account, retryAfterMs: blocked() }) as const

    const key = `${attempt.address} ${counted}`
    if (underWay.has(key)) {
      countWaiting(key, 1)
      // Of those that an attempt wakes, the first to run begins its own before the next one looks.
      for (let ahead = underWay.get(key); ahead; ahead = underWay.get(key)) await Promise.allSettled([ahead])
      countWaiting(key, -1)
    }
    if (blocked() > 0) return refuseBlocked()

    const stored = account?.password ?? decoyFor(name)
    const digest = digestPassword(stored, password)
    if (account && !account.disabled && isCached(account, digest)) {
      guard.succeed(attempt)
      return { account }
    }

    async function check(): Promise<LoginResult> {
      const matches = await checkPassword()
      return guard.inTurn(attempt, async () => {
        // Other failures may have caused a block while this check was waiting.
        if (blocked() > 0) return refuseBlocked()
        if (matches && account && !account.disabled) {
          cachedPasswords.set(account, { digest, until: clock() + PASSWORD_CACHE_TTL_MS })
          guard.succeed(attempt)
          return { account }
        }
        if (await guard.fail(attempt)) return refuseBlocked()
        if (!account) return { refused: 'unknown_account' }
        return { refused: matches ? 'account_disabled' : 'bad_password', account }
      })
    }

    async function checkPassword(): Promise<boolean> {
      try {
        return await passwords.check({ stored, password, network: attempt.address, proceed: () => blocked() === 0 })
      } catch (error) {
        // The comparison with the cache was a guess: without this count, a full queue would make guesses free.
        if (account && findCached(account)) await guard.fail(attempt)
        throw error
      }
    }

    const result = check()
    underWay.set(key, result)
    try {
      return await result
    } finally {
      underWay.delete(key)
    }
  }
}
