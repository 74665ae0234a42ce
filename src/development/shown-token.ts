import { type Claims, decodeJws } from '../core/crypto/jws.ts'
import { isShallow } from './json-depth.ts'

/**
 * Decodes a signed token of a stranger to show it, without verifying it. Returns undefined for other text, and for
 * members too deep to be written as JSON.
 */
export function decodeShownToken(token: string): { header: Claims; claims: Claims } | undefined {
  const decoded = decodeJws(token)
  return decoded && isShallow(decoded.header) && isShallow(decoded.claims) ? decoded : undefined
}

/** Returns the id in the claims of a BWS or IDscan token, unless it is missing or no text. */
export function idIn({ tokenid, jti }: Claims): string | undefined {
  return [tokenid, jti].find((id) => typeof id === 'string')
}
