import { createHmacSha256, type DigestOfText } from './sha256.ts'

/** An HS256 key that is prepared for use. */
export interface Key {
  readonly id: string
  readonly hmac: DigestOfText
  /** Milliseconds since the epoch; from then on the key neither signs nor verifies. */
  readonly notAfter: number
}

/** In the order of the configuration: the first live key signs, every live key verifies. */
export type Keyring = readonly Key[]

/** RFC 7518 section 3.2: a key of at least the hash's size. */
export const MINIMUM_KEY_BYTES = 32

/**
 * Prepares an HS256 key.
 *
 * @param notAfter milliseconds since the epoch; for ever when left out.
 * @throws RangeError for a secret under 32 bytes.
 */
export function createKey(id: string, secret: Uint8Array, notAfter = Number.POSITIVE_INFINITY): Key {
  if (secret.byteLength < MINIMUM_KEY_BYTES) {
    throw new RangeError(`an HS256 key has at least ${MINIMUM_KEY_BYTES} bytes`)
  }
  return { id, hmac: createHmacSha256(secret), notAfter }
}

/** Prepares keys as they are configured; see {@link createKey}. */
export function createKeyring(
  keys: readonly { id?: string | undefined; secret: Uint8Array; notAfter?: number | undefined }[],
): Keyring {
  return keys.map(({ id, secret, notAfter }, index) => createKey(id ?? `key-${index + 1}`, secret, notAfter))
}

/** The keys that are valid at a time (milliseconds since the epoch). */
export function liveKeys(keyring: Keyring, now: number): Keyring {
  return keyring.filter((key) => now < key.notAfter)
}

/**
 * The key that signs at a time (milliseconds since the epoch).
 *
 * @throws Error when every key has expired: no token is better than one that nobody can verify.
 */
export function signingKey(keyring: Keyring, now: number): Key {
  const key = keyring.find((candidate) => now < candidate.notAfter)
  if (!key) throw new Error('no live signing key')
  return key
}

/** No token is signed over it: those begin with their header. */
const FINGERPRINTED = 'trimint key fingerprint'

/** What a key is recognised by where the key itself must not stand: 128 bits that only its owner can work out. */
export function fingerprintOf({ hmac }: Key): string {
  return hmac(FINGERPRINTED).toString('hex', 0, 16)
}
