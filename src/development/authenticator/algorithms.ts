import { constants, generateKeyPair, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { z } from 'zod'

/**
 * Signature algorithms of the FIDO registry of predefined values 1.1, section 3.6.1, all with SHA-256. 7, SM2, is
 * missing: Trimint does not verify it.
 */
export const SIGNATURE_ALGORITHMS = [1, 2, 3, 4, 5, 6, 8, 9] as const
export const signatureAlgorithm = z.literal(SIGNATURE_ALGORITHMS)
export type SignatureAlgorithm = z.output<typeof signatureAlgorithm>

/** Formats of public keys (the same registry, section 3.6.2). */
export const KEY_FORMAT = { EC_RAW: 0x100, EC_SPKI: 0x101, RSA_RAW: 0x102, RSA_PKCS1: 0x103 } as const
export type KeyFormat = (typeof KEY_FORMAT)[keyof typeof KEY_FORMAT]

interface Properties {
  readonly key: 'P-256' | 'secp256k1' | 'RSA'
  sign(data: Uint8Array, key: KeyObject): Buffer
}

const ecRaw = (data: Uint8Array, key: KeyObject) => sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' })
const ecDer = (data: Uint8Array, key: KeyObject) => sign('sha256', data, { key, dsaEncoding: 'der' })
const rsaPss = (data: Uint8Array, key: KeyObject) =>
  sign('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
const rsaPkcs1 = (data: Uint8Array, key: KeyObject) =>
  sign('sha256', data, { key, padding: constants.RSA_PKCS1_PADDING })

const ALGORITHMS: Readonly<Record<SignatureAlgorithm, Properties>> = {
  1: { key: 'P-256', sign: ecRaw },
  2: { key: 'P-256', sign: ecDer },
  3: { key: 'RSA', sign: rsaPss },
  4: { key: 'RSA', sign: (data, key) => octetString(rsaPss(data, key)) },
  5: { key: 'secp256k1', sign: ecRaw },
  6: { key: 'secp256k1', sign: ecDer },
  8: { key: 'RSA', sign: rsaPkcs1 },
  9: { key: 'RSA', sign: (data, key) => octetString(rsaPkcs1(data, key)) },
}

/** Wraps 256 to 65535 bytes in a DER OCTET STRING: RSA signatures of 2048 bits and more. */
function octetString(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x04, 0x82, bytes.length >> 8, bytes.length & 0xff]), bytes])
}

/** Generates a private key for an algorithm; RSA keys have 2048 bits. */
export async function generatePrivateKey(algorithm: SignatureAlgorithm): Promise<KeyObject> {
  const { key } = ALGORITHMS[algorithm]
  if (key === 'RSA') return (await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })).privateKey
  const namedCurve = key === 'P-256' ? 'prime256v1' : 'secp256k1'
  return (await promisify(generateKeyPair)('ec', { namedCurve })).privateKey
}

/** Signs data with an algorithm of the registry. */
export function signWith(algorithm: SignatureAlgorithm, data: Uint8Array, privateKey: KeyObject): Buffer {
  return ALGORITHMS[algorithm].sign(data, privateKey)
}

/** Returns the format that an algorithm's public keys have by default: the raw one. */
export function defaultKeyFormat(algorithm: SignatureAlgorithm): KeyFormat {
  return ALGORITHMS[algorithm].key === 'RSA' ? KEY_FORMAT.RSA_RAW : KEY_FORMAT.EC_RAW
}

/** Encodes a public key in a format of the registry. @throws TypeError if the format is for another type of key. */
export function encodePublicKey(format: KeyFormat, publicKey: KeyObject): Buffer {
  if (format === KEY_FORMAT.EC_SPKI) return publicKey.export({ type: 'spki', format: 'der' })
  if (format === KEY_FORMAT.RSA_PKCS1) return publicKey.export({ type: 'pkcs1', format: 'der' })
  const { x, y, n, e } = publicKey.export({ format: 'jwk' })
  if (format === KEY_FORMAT.EC_RAW && x && y) return Buffer.concat([Buffer.from([0x04]), decode(x), decode(y)])
  if (format === KEY_FORMAT.RSA_RAW && n && e) return Buffer.concat([decode(n), decode(e)])
  throw new TypeError(`key format ${format} does not fit a key of type ${publicKey.asymmetricKeyType}`)
}

function decode(text: string): Buffer {
  return Buffer.from(text, 'base64url')
}
