import { timingSafeEqual } from 'node:crypto'
import { writeBase64url } from './base64url.ts'
import { type Key, type Keyring, liveKeys } from './keyring.ts'
import { createMessage, DIGEST, type Message } from './sha256.ts'

/** Claims are plain JSON; the order of the members is the order on the wire. */
export type Claims = Readonly<Record<string, unknown>>

// One header for every token (B24). Comparing it whole pins the algorithm: there is nothing in it to be confused about.
const HEADER = { alg: 'HS256', typ: 'JWT' }
const HEADER_PART = `${Buffer.from(JSON.stringify(HEADER)).toString('base64url')}.`
const DOT = 0x2e

/** Characters of a signature: an HMAC of 32 bytes in base64url. */
const MAC = 43

/** Bytes. Tokens are shorter, as a rule by far. */
const ORDINARY = 4_096

// A token is put together, signed and verified as bytes, and always in the same place, which is wiped behind it: a row of strings and
// buffers for each would cost more than the signature.
const ordinary = createMessage(ORDINARY)
const digest = Buffer.alloc(DIGEST)
const given = Buffer.alloc(MAC)
const expected = Buffer.alloc(MAC)

/**
 * Signs claims as a compact JWS (RFC 7515) with HS256.
 *
 * The payload's base64url text is plain base64 text as well (B27), see {@link toSafeJson}.
 */
export function signJws(claims: Claims, key: Key): string {
  const payload = Buffer.from(toSafeJson(claims), 'latin1')
  const message = placeFor(HEADER_PART.length + 2 * payload.length + 1 + MAC)
  const { bytes } = message
  bytes.write(HEADER_PART, 'latin1')
  const end = writeBase64url(payload, payload.length, bytes, HEADER_PART.length)
  key.hmac.ofBytes(message, end, digest)
  bytes[end] = DOT
  const length = writeBase64url(digest, DIGEST, bytes, end + 1)
  const token = bytes.toString('latin1', 0, length)
  bytes.fill(0, 0, length)
  return token
}

/**
 * Verifies a compact JWS of ours: the exact header, and the signature of any key that is live.
 * The claims' own times are not looked at.
 *
 * @param now milliseconds since the epoch.
 * @returns the claims, or undefined for everything that this keyring did not sign.
 */
export function verifyJws(token: string, keyring: Keyring, now: number): Claims | undefined {
  const end = token.indexOf('.', HEADER_PART.length)
  const { length } = token
  if (!token.startsWith(HEADER_PART) || length !== end + 1 + MAC) return undefined
  const message = placeFor(3 * length)
  const { bytes } = message
  const written = bytes.write(token)
  // Behind what is signed, the hash writes its own: so the signature is taken away first.
  bytes.copy(given, 0, end + 1, end + 1 + MAC)
  let verified = false
  // Every live key is tried whatever the ones before it said, so the time tells nothing about which key it was.
  for (const { hmac } of liveKeys(keyring, now)) {
    hmac.ofBytes(message, end, digest)
    writeBase64url(digest, DIGEST, expected, 0)
    if (timingSafeEqual(expected, given)) verified = true
  }
  bytes.fill(0, 0, written)
  // What is beyond ASCII takes more bytes than characters: it is not ours, wherever it stands.
  return verified && written === length ? parseObject(token.slice(HEADER_PART.length, end)) : undefined
}

function placeFor(length: number): Message {
  return length > ORDINARY ? createMessage(length) : ordinary
}

/**
 * Reads a compact JWS without verifying anything.
 *
 * @returns header and claims, or undefined when it is not a compact JWS with JSON objects in it.
 */
export function decodeJws(token: string): { header: Claims; claims: Claims } | undefined {
  const parts = splitToken(token)
  const header = parts && parseObject(parts.header)
  const claims = parts && parseObject(parts.payload)
  return header && claims ? { header, claims } : undefined
}

/**
 * Some of BWS's clients decode the payload as plain base64 (B27). The two alphabets differ in the digits 62 and 63 only,
 * and of all ASCII characters only `>`, `?`, `~` and DEL can produce those; so these and everything beyond ASCII are
 * written as JSON escapes.
 */
function toSafeJson(claims: Claims): string {
  const json = JSON.stringify(claims)
  return UNSAFE.test(json) ? json.replaceAll(ALL_UNSAFE, escapeCharacter) : json
}

const UNSAFE = /[>?~\u007f-\uffff]/
const ALL_UNSAFE = new RegExp(UNSAFE, 'g')

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function splitToken(token: string): { header: string; payload: string; signature: string } | undefined {
  const [header, payload, signature, ...rest] = token.split('.', 4)
  return header && payload && signature && rest.length === 0 ? { header, payload, signature } : undefined
}

function parseObject(segment: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, 'base64url').toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined
  } catch {
    return undefined
  }
}
