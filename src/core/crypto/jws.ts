import { timingSafeEqual } from 'node:crypto'
import { type Key, type Keyring, liveKeys } from './keyring.ts'

/** Claims as plain JSON. The order of the members is their order in the token. */
export type Claims = Readonly<Record<string, unknown>>

// Every token has this header (B24). Comparing the whole segment pins the algorithm (RFC 8725 section 3.1).
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
 * Verifies the header and the signature of a compact JWS with every live key. Does not check the times in the claims.
 *
 * @param now milliseconds since the epoch.
 * @returns the claims, or undefined for anything that this keyring did not sign.
 */
export function verifyJws(token: string, keyring: Keyring, now: number): Claims | undefined {
  const parts = splitToken(token)
  if (parts?.header !== HEADER_SEGMENT) return undefined
  const signature = Buffer.from(parts.signature)
  const signingInput = `${parts.header}.${parts.payload}`
  let verified = false
  // Every live key is tried even after a match, so that the time does not reveal which key signed.
  for (const key of liveKeys(keyring, now)) {
    const expected = Buffer.from(signatureOf(signingInput, key))
    if (expected.length === signature.length && timingSafeEqual(expected, signature)) verified = true
  }
  return verified ? parseObject(parts.payload) : undefined
}

/**
 * Decodes a compact JWS without verifying it.
 *
 * @returns header and claims, or undefined where either is not a JSON object.
 */
export function decodeJws(token: string): { header: Claims; claims: Claims } | undefined {
  const parts = splitToken(token)
  const header = parts && parseObject(parts.header)
  const claims = parts && parseObject(parts.payload)
  return header && claims ? { header, claims } : undefined
}

/**
 * Encodes claims as text that is both base64url and base64, because some BWS clients decode the payload as base64
 * (B27). The alphabets differ in digits 62 and 63. Only `>`, `?`, `~`, DEL and characters beyond ASCII produce those:
 * they become JSON escapes.
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
