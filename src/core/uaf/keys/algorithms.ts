import { constants, type KeyObject, verify } from 'node:crypto'
import { DER_TAG, readWhole } from './der.ts'

/** What an algorithm needs of a key. */
export type KeyKind = 'P-256' | 'secp256k1' | 'RSA'

/** How a signature is written. */
type Encoding = 'raw' | 'der'

interface Algorithm {
  readonly kind: KeyKind
  readonly encoding: Encoding
  /** Of RSA. */
  readonly padding?: number
}

const { RSA_PKCS1_PSS_PADDING, RSA_PKCS1_PADDING } = constants

/**
 * The values of ALG_SIGN that can be verified (U20; FIDO registry of predefined values, section 3.6.1). All of them use
 * SHA-256.
 */
const ALGORITHMS: ReadonlyMap<number, Algorithm> = new Map<number, Algorithm>([
  [1, { kind: 'P-256', encoding: 'raw' }],
  [2, { kind: 'P-256', encoding: 'der' }],
  [3, { kind: 'RSA', encoding: 'raw', padding: RSA_PKCS1_PSS_PADDING }],
  [4, { kind: 'RSA', encoding: 'der', padding: RSA_PKCS1_PSS_PADDING }],
  [5, { kind: 'secp256k1', encoding: 'raw' }],
  [6, { kind: 'secp256k1', encoding: 'der' }],
  [8, { kind: 'RSA', encoding: 'raw', padding: RSA_PKCS1_PADDING }],
  [9, { kind: 'RSA', encoding: 'der', padding: RSA_PKCS1_PADDING }],
])

/** The values of ALG_SIGN that can be verified. */
export const SIGNATURE_ALGORITHMS: readonly number[] = [...ALGORITHMS.keys()]

/** OpenSSL's names of curves. */
const CURVES: Readonly<Record<string, KeyKind>> = { prime256v1: 'P-256', secp256k1: 'secp256k1' }

/** Returns the kind of a public key; undefined where no algorithm takes it. */
export function kindOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): KeyKind | undefined {
  if (asymmetricKeyType === 'rsa') return 'RSA'
  return CURVES[asymmetricKeyDetails?.namedCurve ?? '']
}

/** Returns the kind of key that an algorithm needs; undefined for an unknown algorithm. */
export function kindNeededBy(algorithm: number): KeyKind | undefined {
  return ALGORITHMS.get(algorithm)?.kind
}

/** Returns whether an algorithm is known and fits a key. */
export function fitsKey(algorithm: number, key: KeyObject): boolean {
  const kind = kindNeededBy(algorithm)
  return kind !== undefined && kind === kindOf(key)
}

const SALT_BYTES = 32

/** Verifies a signature. Returns false also where the algorithm does not fit the key. */
export function verifySignature(algorithm: number, key: KeyObject, data: Buffer, signature: Buffer): boolean {
  const known = ALGORITHMS.get(algorithm)
  if (!known || !fitsKey(algorithm, key)) return false
  const { encoding, padding } = known
  if (padding === undefined) {
    return verify('sha256', data, { key, dsaEncoding: encoding === 'raw' ? 'ieee-p1363' : 'der' }, signature)
  }
  const raw = encoding === 'raw' ? signature : readWhole(signature, DER_TAG.OCTET_STRING)
  return raw !== undefined && verify('sha256', data, { key, padding, saltLength: SALT_BYTES }, raw)
}
