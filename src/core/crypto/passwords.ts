import { hash, parseOptions, verify } from '@node-rs/argon2'
import pLimit from 'p-limit'
import { createFairQueue } from '../fair-queue.ts'
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

/** A password to check against a stored hash. */
export interface PasswordCheck {
  readonly stored: string
  readonly password: string
  /** Whose turn the check takes: the network that the caller comes from. */
  readonly network: string
  /** Called when the check leaves the queue; where it returns false the check is skipped and resolves to false. */
  readonly proceed: () => boolean
}

export interface PasswordChecker {
  /**
   * Checks a password, off the event loop. Networks take turns, so that a flood from one does not delay the others.
   *
   * @throws PasswordQueueFullError when the queue is full and no network has more checks in it; also for a waiting check
   *   of the network that has most, when another network needs its place.
   */
  check(check: PasswordCheck): Promise<boolean>
}

export interface PasswordCheckerLimits {
  /** How many checks run at the same time. Each takes a processor core and the memory that its hash names. */
  readonly concurrency: number
  /** How many checks may wait. */
  readonly waiting: number
}

interface Waiting {
  readonly start: () => Promise<void>
  readonly reject: (error: unknown) => void
}

/**
 * Creates a checker with bounded processor and memory use, so that a flood of wrong passwords does not slow other
 * requests.
 */
export function createPasswordChecker({ concurrency, waiting }: PasswordCheckerLimits): PasswordChecker {
  const slots = pLimit(concurrency)
  const queue = createFairQueue<Waiting>()
  let running = 0
  const full = () => new PasswordQueueFullError(`${waiting} password checks are waiting`)

  return {
    check: ({ stored, password, network, proceed }) =>
      new Promise((resolve, reject) => {
        async function start(): Promise<void> {
          running += 1
          try {
            resolve(proceed() && (await verifyPassword(stored, password)))
          } catch (error) {
            reject(error)
          } finally {
            running -= 1
          }
        }
        const added = { start, reject }
        if (running + queue.size < concurrency + waiting) {
          queue.push(network, added)
          // The slot serves the party whose turn it then is.
          void slots(() => queue.shift()?.start())
          return
        }
        const displaced = queue.displaceFor(network)
        if (displaced) queue.push(network, added)
        const refused = displaced ?? added
        refused.reject(full())
      }),
  }
}

/** Compares a `plain:` password, which only a configuration outside production can have, like a machine's secret. */
function verifyPassword(stored: string, password: string): Promise<boolean> | boolean {
  if (!stored.startsWith('plain:')) return verify(stored, password)
  const slot = { digest: digestSecret(stored.slice('plain:'.length)), notAfter: Number.POSITIVE_INFINITY }
  return matchSecret(password, [slot], 0) !== undefined
}
