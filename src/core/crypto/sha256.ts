import { type BinaryToTextEncoding, createHmac, createSecretKey, hash } from 'node:crypto'

const ALGORITHM = 'sha256'

/** Computes a digest of a text in UTF-8, as bytes or encoded. */
export interface DigestOfText {
  (text: string): Buffer
  (text: string, encoding: BinaryToTextEncoding): string
}

type Encoding = BinaryToTextEncoding | 'buffer'

/** Computes SHA-256 of bytes, or of a text in UTF-8. */
export function sha256(data: string | Uint8Array): Buffer
export function sha256(data: string | Uint8Array, encoding: BinaryToTextEncoding): string
export function sha256(data: string | Uint8Array, encoding: Encoding = 'buffer'): Buffer | string {
  return hash(ALGORITHM, data, encoding)
}

/** Prepares a key for HMAC-SHA-256 (RFC 2104). */
export function createHmacSha256(key: Uint8Array): DigestOfText {
  const keyObject = createSecretKey(key)
  function hmac(text: string): Buffer
  function hmac(text: string, encoding: BinaryToTextEncoding): string
  function hmac(text: string, encoding?: BinaryToTextEncoding): Buffer | string {
    // Node returns bytes where there is no encoding. Its types have an overload for each case instead.
    return createHmac(ALGORITHM, keyObject)
      .update(text)
      .digest(encoding as BinaryToTextEncoding)
  }
  return hmac
}
