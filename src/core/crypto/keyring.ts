import { createHmacSha256, type DigestOfText } from './sha256.ts'

/** A prepared HS256 key. */
export interface Key {
  readonly id: string
  readonly hmac: DigestOfText
  /** Milliseconds since the epoch. From then on the key neither signs nor verifies. */
  readonly notAfter: number
}

/** Keys in the order of the configuration: the first live key signs, every live key verifies. */
export type Keyring = readonly Key[]

/** RFC 7518 section 3.2: a key is at least as long as the hash. */
export const MIN_KEY_BYTES = 32

/**
 * Prepares an HS256 key.
 *
 * @param notAfter milliseconds since the epoch; no end when left out.
 * @throws RangeError for a secret under 32 bytes.
 */
export function createKey(id: string, secret: Uint8Array, notAfter = Number.POSITIVE_INFINITY): Key {
  if (secret.byteLength < MIN_KEY_BYTES) {
    throw new RangeError(`HS256 key too short: expected at least ${MIN_KEY_BYTES} bytes`)
  }
  return { id, hmac: createHmacSha256(secret), notAfter }
}

/** Prepares configured keys; see {@link createKey}. A key without an id is named after its position: `key-1`. */
export function createKeyring(
  keys: readonly { id?: string | undefined; secret: Uint8Array; notAfter?: number | undefined }[],
): Keyring {
  return keys.map(({ id, secret, notAfter }, index) => createKey(id ?? `key-${index + 1}`, secret, notAfter))
}

/** Returns the keys that are valid at a time (milliseconds since the epoch). */
export function liveKeys(keyring: Keyring, now: number): Keyring {
  return keyring.filter((key) => now < key.notAfter)
}

/** Every key has expired: nothing can be signed. */
export class NoSigningKeyError extends Error {
  override readonly name = 'NoSigningKeyError'
}

/**
 * Returns the key that signs at a time (milliseconds since the epoch).
 *
 * @throws NoSigningKeyError when every key has expired.
 */
export function signingKey(keyring: Keyring, now: number): Key {
  const key = keyring.find((candidate) => now < candidate.notAfter)
  if (!key) throw new NoSigningKeyError('no live signing key: every key has expired')
  return key
}

/** Cannot be the signing input of a token, which begins with a header. */
const FINGERPRINT_INPUT = 'trimint key fingerprint'

/**
 * Returns 128 bits in hexadecimal that identify a key without revealing it: only a holder of the key can compute them.
 */
export function fingerprintOf({ hmac }: Key): string {
  return hmac(FINGERPRINT_INPUT).toString('hex', 0, 16)
}
