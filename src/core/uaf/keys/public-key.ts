import { createPublicKey, type KeyObject } from 'node:crypto'
import { UafError } from '../failure.ts'
import { type KeyKind, kindNeededBy, kindOf } from './algorithms.ts'
import { DER_TAG, readMembers, readWhole } from './der.ts'

/** Values of ALG_KEY (U21; FIDO registry of predefined values, section 3.6.2). */
const ALG_KEY = { ECC_RAW: 0x100, ECC_DER: 0x101, RSA_RAW: 0x102, RSA_DER: 0x103 } as const

const RSA_BITS = 2048
const RSA_BYTES = RSA_BITS / 8

/** Of the keys of certificates. */
const MAX_RSA_BITS = 4096

/** OpenSSL takes longer ones for moduli of this size, and a verification would take milliseconds. */
const MAX_EXPONENT = 2n ** 64n

/** Returns the kinds of key that a format can have; none for an unknown format. */
export function kindsOfFormat(format: number): readonly KeyKind[] {
  if (format === ALG_KEY.ECC_RAW || format === ALG_KEY.ECC_DER) return ['P-256', 'secp256k1']
  return format === ALG_KEY.RSA_RAW || format === ALG_KEY.RSA_DER ? ['RSA'] : []
}

/**
 * Imports the public key of a registration.
 *
 * @param algorithm ALG_SIGN of the key, which names the curve of a raw point; undefined where it is not known.
 * @throws UafError `key_rejected` for another format, a point that is not on the curve, and RSA other than 2048 bits.
 */
export function importPublicKey(format: number, bytes: Buffer, algorithm: number | undefined): KeyObject {
  const key = tryImport(format, bytes, algorithm)
  const kind = key && kindOf(key)
  if (!key || !kind || !kindsOfFormat(format).includes(kind) || !isUsable(key)) throw new UafError('key_rejected')
  return key
}

function isUsable(key: KeyObject): boolean {
  const { asymmetricKeyDetails: { modulusLength = RSA_BITS, publicExponent = 3n } = {} } = key
  return modulusLength === RSA_BITS && publicExponent >= 3n && verifiesQuickly(key)
}

/** OpenSSL's names of the curves that certificates may use. It verifies twenty times slower on some others. */
const CERTIFICATE_CURVES: readonly unknown[] = ['prime256v1', 'secp256k1', 'secp384r1', 'secp521r1']

/** Returns whether a key of a stranger is fast enough to verify with (U21, U25). */
export function verifiesQuickly({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): boolean {
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = asymmetricKeyDetails
  if (asymmetricKeyType === 'ec') return CERTIFICATE_CURVES.includes(namedCurve)
  return modulusLength <= MAX_RSA_BITS && publicExponent < MAX_EXPONENT
}

function tryImport(format: number, bytes: Buffer, algorithm: number | undefined): KeyObject | undefined {
  switch (format) {
    case ALG_KEY.ECC_RAW: {
      const kind = algorithm === undefined ? undefined : kindNeededBy(algorithm)
      if (kind) return importPoint(bytes, kind)
      return importPoint(bytes, 'P-256') ?? importPoint(bytes, 'secp256k1')
    }
    case ALG_KEY.ECC_DER:
      return namesCurve(bytes) ? importDer(bytes, 'spki') : undefined
    case ALG_KEY.RSA_RAW:
      return importModulus(bytes)
    case ALG_KEY.RSA_DER:
      // The registry names PKCS #1; authenticators also send SPKI.
      return importDer(bytes, 'pkcs1') ?? importDer(bytes, 'spki')
    default:
      return undefined
  }
}

/** Octets of one coordinate, on both curves. */
const COORDINATE_BYTES = 32

/** Imports an uncompressed point: `04‖X‖Y` (SEC 1, section 2.3.3). */
function importPoint(point: Buffer, crv: KeyKind): KeyObject | undefined {
  if (point.length !== 1 + 2 * COORDINATE_BYTES || point[0] !== 0x04) return undefined
  const x = point.toString('base64url', 1, 1 + COORDINATE_BYTES)
  const y = point.toString('base64url', 1 + COORDINATE_BYTES)
  return attempt(() => createPublicKey({ key: { kty: 'EC', crv, x, y }, format: 'jwk' }))
}

/** Imports `n‖e`. OpenSSL takes fewer bytes too; then the modulus is short, or the exponent is 0. */
function importModulus(bytes: Buffer): KeyObject | undefined {
  const n = bytes.toString('base64url', 0, RSA_BYTES)
  const e = bytes.toString('base64url', RSA_BYTES)
  return attempt(() => createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' }))
}

/** Returns whether SPKI of an EC key names its curve (RFC 5480, section 2.1.1). OpenSSL also takes explicit parameters. */
function namesCurve(spki: Buffer): boolean {
  const [algorithm] = readMembers(readWhole(spki, DER_TAG.SEQUENCE))
  const [, parameters] = readMembers(algorithm?.content)
  return parameters?.tag === DER_TAG.OBJECT_IDENTIFIER
}

/** OpenSSL passes over bytes after the key. */
function importDer(bytes: Buffer, type: 'spki' | 'pkcs1'): KeyObject | undefined {
  if (!readWhole(bytes, DER_TAG.SEQUENCE)) return undefined
  return attempt(() => createPublicKey({ key: bytes, format: 'der', type }))
}

function attempt(importKey: () => KeyObject): KeyObject | undefined {
  try {
    return importKey()
  } catch {
    return undefined
  }
}

/** Returns the form in which a key is stored: SPKI in DER, as base64url. */
export function exportPublicKey(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).toString('base64url')
}

const MAX_CACHED_KEYS = 1_000

/**
 * Imported keys by their text. A redemption imports the keys of its user, and the response uses one of them soon after:
 * an authentication takes 15 to 20 % less processor time. Emptied when it is full.
 */
const cachedKeys = new Map<string, KeyObject>()

/** Imports a stored key, or returns it from the cache. */
export function restorePublicKey(text: string): KeyObject {
  const cached = cachedKeys.get(text)
  if (cached) return cached
  const key = createPublicKey({ key: Buffer.from(text, 'base64url'), format: 'der', type: 'spki' })
  if (cachedKeys.size >= MAX_CACHED_KEYS) cachedKeys.clear()
  cachedKeys.set(text, key)
  return key
}
