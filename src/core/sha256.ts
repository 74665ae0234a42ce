import { hash } from 'node:crypto'

/**
 * SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104) of short texts, as this service needs them several times for each request.
 *
 * Not node:crypto's: in a busy server each of its calls costs a multiple of what it costs in a loop, since its way to the hash leads
 * through objects with finalisers and code that is no longer in the processor's caches (docs/performance.md). What is long is
 * left to it. There is no branch and no index here that depends on a secret but for its length.
 */

// biome-ignore format: eight to a line, as in FIPS 180-4 section 4.2.2
const CONSTANTS = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
])

// biome-ignore format: as in FIPS 180-4 section 5.3.3
const INITIAL_STATE = new Int32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
])

const BLOCK = 64 // bytes

/** Bytes of a digest. */
export const DIGEST = 32

/** Characters up to which a text is hashed here: the tokens and the secrets that there are, several times over. */
const LONGEST = 4_096

/** Of a character in UTF-8. */
const MOST_BYTES = 3

/** Bytes that are to be hashed, behind them room for what the hash adds. */
export interface Message {
  readonly bytes: Buffer
  /** The same bytes, as the hash reads them. */
  readonly words: DataView
}

/** @param length of the longest message that will stand in it, in bytes. */
export function createMessage(length: number): Message {
  const bytes = Buffer.alloc(length + 2 * BLOCK)
  return { bytes, words: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
}

// One message at a time, from its first byte to its last: nothing here waits for anything. All zeros in between.
const text = createMessage(LONGEST * MOST_BYTES)
const schedule = new Int32Array(64)
const state = new Int32Array(DIGEST / 4)

/** Bytes of the digest of a text's UTF-8. */
export function sha256(message: string): Buffer {
  if (message.length > LONGEST) return hash('sha256', message, 'buffer')
  state.set(INITIAL_STATE)
  const length = text.bytes.write(message)
  compressMessage(text, length, 0)
  wipe(text, length)
  return takeDigest(Buffer.allocUnsafe(DIGEST))
}

/** HMAC under one key. */
export interface HmacSha256 {
  /** Of a text's UTF-8. */
  ofText(message: string): Buffer
  /** Of the first bytes of a message, into the first 32 of a target. What the message has behind them is overwritten. */
  ofBytes(message: Message, length: number, target: Buffer): void
}

/** Prepares a key: what is the same for every text is computed once. */
export function createHmacSha256(key: Uint8Array): HmacSha256 {
  const block = createMessage(BLOCK)
  block.bytes.set(key.byteLength > BLOCK ? hash('sha256', key, 'buffer') : key)
  const inner = stateAfter(block, 0x36)
  const outer = stateAfter(block, 0x36 ^ 0x5c)
  wipe(block, BLOCK)
  const ofBytes = (message: Message, length: number, target: Buffer): void => {
    state.set(inner)
    compressMessage(message, length, BLOCK)
    takeDigest(text.bytes)
    state.set(outer)
    compressMessage(text, DIGEST, BLOCK)
    wipe(text, DIGEST)
    takeDigest(target)
  }
  return {
    ofBytes,
    ofText(message) {
      const work = message.length > LONGEST ? createMessage(message.length * MOST_BYTES) : text
      const length = work.bytes.write(message)
      const digest = Buffer.allocUnsafe(DIGEST)
      ofBytes(work, length, digest)
      wipe(work, length)
      return digest
    },
  }
}

/** The state once the block of the key, combined with a pad, has been compressed. The pad stays in the block. */
function stateAfter(block: Message, pad: number): Int32Array {
  state.set(INITIAL_STATE)
  for (let index = 0; index < BLOCK; index++) block.bytes[index] = (block.bytes[index] as number) ^ pad
  compressBlock(block.words, 0)
  schedule.fill(0)
  return state.slice()
}

/**
 * Pads a message (FIPS 180-4 section 5.1.1) and compresses it.
 *
 * @param before bytes that were compressed earlier.
 */
function compressMessage({ bytes, words }: Message, length: number, before: number): void {
  const end = paddedLength(length)
  // What stood there may be the padding of a message before, or the rest of something longer.
  for (let at = length; at < end; at++) bytes[at] = 0
  bytes[length] = 0x80
  words.setInt32(end - 4, (before + length) * 8)
  for (let begin = 0; begin < end; begin += BLOCK) compressBlock(words, begin)
  schedule.fill(0)
}

function paddedLength(length: number): number {
  return Math.ceil((length + 9) / BLOCK) * BLOCK
}

/** Nothing of what was hashed is left: it may be a secret. */
function wipe({ words }: Message, length: number): void {
  const end = paddedLength(length)
  for (let at = 0; at < end; at += 4) words.setInt32(at, 0)
}

function takeDigest(target: Buffer): Buffer {
  for (let index = 0; index < state.length; index++) target.writeInt32BE(at(state, index), index * 4)
  return target
}

/** FIPS 180-4 section 6.2.2, on the block that begins at a byte of the message; the names are those of the standard. */
function compressBlock(words: DataView, begin: number): void {
  for (let t = 0; t < 16; t++) schedule[t] = words.getInt32(begin + t * 4)
  for (let t = 16; t < 64; t++) {
    const w15 = at(schedule, t - 15)
    const w2 = at(schedule, t - 2)
    const sigma0 = ((w15 >>> 7) | (w15 << 25)) ^ ((w15 >>> 18) | (w15 << 14)) ^ (w15 >>> 3)
    const sigma1 = ((w2 >>> 17) | (w2 << 15)) ^ ((w2 >>> 19) | (w2 << 13)) ^ (w2 >>> 10)
    schedule[t] = (sigma1 + at(schedule, t - 7) + sigma0 + at(schedule, t - 16)) | 0
  }
  let a = at(state, 0)
  let b = at(state, 1)
  let c = at(state, 2)
  let d = at(state, 3)
  let e = at(state, 4)
  let f = at(state, 5)
  let g = at(state, 6)
  let h = at(state, 7)
  for (let t = 0; t < 64; t++) {
    const sum1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const choice = (e & f) ^ (~e & g)
    const t1 = (h + sum1 + choice + at(CONSTANTS, t) + at(schedule, t)) | 0
    const sum0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const majority = (a & b) ^ (a & c) ^ (b & c)
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + sum0 + majority) | 0
  }
  state[0] = at(state, 0) + a
  state[1] = at(state, 1) + b
  state[2] = at(state, 2) + c
  state[3] = at(state, 3) + d
  state[4] = at(state, 4) + e
  state[5] = at(state, 5) + f
  state[6] = at(state, 6) + g
  state[7] = at(state, 7) + h
}

function at(array: Int32Array, index: number): number {
  return array[index] as number
}
