import { hash } from '@node-rs/argon2'
import type { Randomness } from './randomness.ts'

/** OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const SALT_BYTES = 16

/** Hashes a person's password with argon2id, as text that names its own parameters (PHC string format). */
export function hashPassword(password: string, randomness: Randomness): Promise<string> {
  return hash(password, { ...PARAMETERS, salt: randomness.bytes(SALT_BYTES) })
}
