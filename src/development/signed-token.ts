import { type Claims, decodeJws } from '../core/crypto/jws.ts'
import { digestId } from '../core/fido/issue.ts'
import { isShallow } from './json-depth.ts'

/** A signed token as a client wrote it. Nothing in it is verified. */
export interface SignedToken {
  readonly header: Claims
  readonly claims: Claims
  /** Its claim `tokenid` or `jti`, or its digest where neither is text. */
  readonly id: string
}

/** Decodes a compact JWS. Returns undefined for anything else, and for JSON that is too deep to be shown. */
export function readSignedToken(token: string): SignedToken | undefined {
  const decoded = decodeJws(token)
  if (!decoded || !isShallow(decoded.header) || !isShallow(decoded.claims)) return undefined
  const { tokenid, jti } = decoded.claims
  const id = [tokenid, jti].find((claim) => typeof claim === 'string')
  return { ...decoded, id: id ?? digestId(token) }
}
