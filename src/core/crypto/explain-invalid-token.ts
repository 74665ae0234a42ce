import type { Clock } from '../clock.ts'
import { decodeJws, verifyJws } from './jws.ts'
import type { Keyring } from './keyring.ts'

export interface TokenExpectations {
  readonly keyring: Keyring
  readonly issuer: string
  readonly audience: string
}

/** Says which check of a signed token fails first. For developers; it may quote claims, and never the token. */
export function explainInvalidToken(jws: string, expected: TokenExpectations, clock: Clock): string {
  const decoded = decodeJws(jws)
  if (!decoded) return 'the credential is not a signed token: it does not have three parts with JSON in base64url'
  const { header, claims } = decoded
  if (header.alg !== 'HS256') return `the token is signed with ${asText(header.alg)}; expected HS256`
  if (!verifyJws(jws, expected.keyring, clock())) {
    const ids = expected.keyring.map(({ id }) => id).join(', ')
    return `no live key of the configuration has signed the token; the keys are ${ids}`
  }
  if (claims.iss !== expected.issuer) return `the token has iss ${asText(claims.iss)}; expected ${expected.issuer}`
  if (claims.aud !== expected.audience) return `the token has aud ${asText(claims.aud)}; expected ${expected.audience}`
  return 'the signature is right, but the claims are not those of this contract'
}

/** Converting an object of a stranger to text can throw. */
function asText(value: unknown): string {
  return typeof value === 'object' && value !== null ? 'a value that is no text' : String(value)
}
