import { timingSafeEqual } from 'node:crypto'
import { type Key, type Keyring, liveKeys } from './keyring.ts'

/** Claims are plain JSON; the order of the members is the order on the wire. */
export type Claims = Readonly<Record<string, unknown>>

// One header for every token (B24). Comparing it whole pins the algorithm: there is nothing in it to be confused about.
const HEADER = { alg: 'HS256', typ: 'JWT' }
const HEADER_SEGMENT = Buffer.from(JSON.stringify(HEADER)).toString('base64url')

/**
 * Signs claims as a compact JWS (RFC 7515) with HS256.
 *
 * The payload's base64url text is plain base64 text as well (B27), see {@link encodePayload}.
 */
export function signJws(claims: Claims, key: Key): string {
  const signingInput = `${HEADER_SEGMENT}.${encodePayload(claims)}`
  return `${signingInput}.${signatureOf(signingInput, key)}`
}

/**
 * Verifies a compact JWS of ours: the exact header, and the signature of any key that is live.
 * The claims' own times are not looked at.
 *
 * @param now milliseconds since the epoch.
 * @returns the claims, or undefined for everything that this keyring did not sign.
 */
export function verifyJws(token: string, keyring: Keyring, now: number): Claims | undefined {
  const parts = splitToken(token)
  if (parts?.header !== HEADER_SEGMENT) return undefined
  const signature = Buffer.from(parts.signature)
  const signingInput = `${parts.header}.${parts.payload}`
  let verified = false
  // Every live key is tried whatever the ones before it said, so the time tells nothing about which key it was.
  for (const key of liveKeys(keyring, now)) {
    const expected = Buffer.from(signatureOf(signingInput, key))
    if (expected.length === signature.length && timingSafeEqual(expected, signature)) verified = true
  }
  return verified ? parseObject(parts.payload) : undefined
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
function encodePayload(claims: Claims): string {
  const json = JSON.stringify(claims)
  const safe = UNSAFE.test(json) ? json.replaceAll(ALL_UNSAFE, escapeCharacter) : json
  return Buffer.from(safe, 'latin1').toString('base64url')
}

const UNSAFE = /[>?~\u007f-\uffff]/
const ALL_UNSAFE = new RegExp(UNSAFE, 'g')

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function signatureOf(signingInput: string, key: Key): string {
  return key.hmac(signingInput, 'base64url')
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
