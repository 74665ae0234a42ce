import { type BinaryToTextEncoding, hash } from 'node:crypto'

const ALGORITHM = 'sha256'

/** Bytes of a block, and of a digest (FIPS 180-4). */
const BLOCK = 64
const DIGEST = 32

/** A digest of a text's UTF-8: bytes, or text at once, which spares making the bytes first. */
export interface DigestOfText {
  (text: string): Buffer
  (text: string, encoding: BinaryToTextEncoding): string
}

type Encoding = BinaryToTextEncoding | 'buffer'

export function sha256(text: string): Buffer
export function sha256(text: string, encoding: BinaryToTextEncoding): string
export function sha256(text: string, encoding: Encoding = 'buffer'): Buffer | string {
  return hash(ALGORITHM, text, encoding)
}

/** Characters of the texts that share a place; a longer one gets its own. */
const ORDINARY = 4_096

/** Of a character in UTF-8. */
const MOST_BYTES = 3

/** One text at a time, behind a block of padding: nothing here waits for anything. Wiped behind each of them. */
const ordinary = Buffer.alloc(BLOCK + ORDINARY * MOST_BYTES)

/**
 * Prepares a key (RFC 2104): two digests in one call each. `createHmac` makes objects of its own for every text, which is most of what
 * signing then costs (docs/performance.md).
 */
export function createHmacSha256(key: Uint8Array): DigestOfText {
  const inner = Buffer.alloc(BLOCK, 0x36)
  const outer = Buffer.alloc(BLOCK + DIGEST, 0x5c)
  const block = key.byteLength > BLOCK ? hash(ALGORITHM, key, 'buffer') : key
  for (const [index, byte] of block.entries()) {
    inner[index] = byte ^ 0x36
    outer[index] = byte ^ 0x5c
  }
  function hmac(text: string): Buffer
  function hmac(text: string, encoding: BinaryToTextEncoding): string
  function hmac(text: string, encoding: Encoding = 'buffer'): Buffer | string {
    const place = text.length > ORDINARY ? Buffer.alloc(BLOCK + text.length * MOST_BYTES) : ordinary
    place.set(inner)
    const end = BLOCK + place.write(text, BLOCK)
    outer.set(hash(ALGORITHM, place.subarray(0, end), 'buffer'), BLOCK)
    place.fill(0, 0, end)
    return hash(ALGORITHM, outer, encoding)
  }
  return hmac
}
