import { hash, parseOptions, verify } from '@node-rs/argon2'
import pLimit from 'p-limit'
import type { Randomness } from '../randomness.ts'
import { digestSecret, matchSecret } from './secrets.ts'

/** argon2id with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet). `memoryCost` is in KiB. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const SALT_BYTES = 16

/** Hashes a person's password with argon2id. Returns PHC string format, which includes the parameters. */
export function hashPassword(password: string, randomness: Randomness): Promise<string> {
  return hash(password, { ...PARAMETERS, salt: randomness.bytes(SALT_BYTES) })
}

/** Tells whether a text is an argon2id hash in PHC string format with valid parameters and lengths. */
export function isPasswordHash(text: string): boolean {
  try {
    parseOptions(text)
    return text.startsWith('$argon2id$')
  } catch {
    return false
  }
}

/** Thrown instead of queueing a check behind too many others. */
export class PasswordQueueFullError extends Error {
  override readonly name = 'PasswordQueueFullError'
  readonly code = 'ERR_PASSWORD_QUEUE_FULL'
}

export interface PasswordChecker {
  /**
   * Checks a password against a stored hash, off the event loop.
   *
   * @param proceed called when the check leaves the queue; where it returns false the check is skipped and resolves to
   *   false.
   * @throws PasswordQueueFullError at once when the queue is full.
   */
  check(stored: string, password: string, proceed: () => boolean): Promise<boolean>
}

export interface PasswordCheckerLimits {
  /** How many checks run at the same time. Each takes a processor core and the memory that its hash names. */
  readonly concurrency: number
  /** How many checks may wait. */
  readonly waiting: number
}

/**
 * Creates a checker with bounded processor and memory use, so that a flood of wrong passwords does not slow other
 * requests.
 */
export function createPasswordChecker({ concurrency, waiting }: PasswordCheckerLimits): PasswordChecker {
  const limit = pLimit(concurrency)
  return {
    async check(stored, password, proceed) {
      if (limit.pendingCount >= waiting) throw new PasswordQueueFullError(`${waiting} password checks are waiting`)
      return limit(async () => proceed() && verifyPassword(stored, password))
    },
  }
}

/** Compares a `plain:` password, which only a configuration outside production can have, like a machine's secret. */
function verifyPassword(stored: string, password: string): Promise<boolean> | boolean {
  if (!stored.startsWith('plain:')) return verify(stored, password)
  const slot = { digest: digestSecret(stored.slice('plain:'.length)), notAfter: Number.POSITIVE_INFINITY }
  return matchSecret(password, [slot], 0) !== undefined
}
