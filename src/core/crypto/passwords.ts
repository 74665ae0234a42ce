import { hash, parseOptions, verify } from '@node-rs/argon2'
import pLimit from 'p-limit'
import type { Randomness } from '../randomness.ts'
import { digestSecret, matchSecret } from './secrets.ts'

/** OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const SALT_BYTES = 16

/** Hashes a person's password with argon2id, as text that names its own parameters (PHC string format). */
export function hashPassword(password: string, randomness: Randomness): Promise<string> {
  return hash(password, { ...PARAMETERS, salt: randomness.bytes(SALT_BYTES) })
}

/** Whether a text is an argon2id hash that can be checked: of the right form, its parameters and lengths allowed. */
export function isPasswordHash(text: string): boolean {
  try {
    parseOptions(text)
    return text.startsWith('$argon2id$')
  } catch {
    return false
  }
}

/** More checks are waiting than will be done in reasonable time. */
export class PasswordQueueFullError extends Error {}

export interface PasswordChecker {
  /**
   * Whether a password is the one of a stored hash, whatever parameters it names. Runs off the event loop.
   *
   * @param proceed asked when its turn has come: a check that has become pointless is then not made, and answers false.
   * @throws PasswordQueueFullError at once, when too many are waiting.
   */
  check(stored: string, password: string, proceed: () => boolean): Promise<boolean>
}

export interface PasswordCheckerLimits {
  /** Checks at the same time: each takes a processor core and the memory that its hash names. */
  readonly concurrency: number
  /** Checks that may wait for their turn. */
  readonly waiting: number
}

/** Bounds what password checks take, so that a storm of wrong ones slows nothing else down. */
export function createPasswordChecker({ concurrency, waiting }: PasswordCheckerLimits): PasswordChecker {
  const limit = pLimit(concurrency)
  return {
    async check(stored, password, proceed) {
      if (limit.pendingCount >= waiting) throw new PasswordQueueFullError()
      return limit(async () => proceed() && verifyPassword(stored, password))
    },
  }
}

/** A password that is configured as `plain:`, outside production, is compared as machines' secrets are. */
function verifyPassword(stored: string, password: string): Promise<boolean> | boolean {
  if (!stored.startsWith('plain:')) return verify(stored, password)
  const slot = { digest: digestSecret(stored.slice('plain:'.length)), notAfter: Number.POSITIVE_INFINITY }
  return matchSecret(password, [slot], 0) !== undefined
}
