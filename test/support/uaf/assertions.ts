import { constants, createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { TAG } from '../../../src/core/uaf/assertion/tags.ts'
import { LEAF_KEY } from './certificates.ts'

export const APP_ID = 'https://fido.example.com/nevisfido/uaf/1.1/facets'
export const FACET = 'https://fido.example.com'
export const CHALLENGE = Buffer.alloc(32, 7).toString('base64url')
export const AAID = 'F1D0#0001'

/** Returns an element of UAFV1TLV. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts)
  return Buffer.concat([u16(tag), u16(value.length), value])
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** A key pair of an authenticator, with one of the algorithms of ALG_SIGN. */
export interface AuthenticatorKey {
  readonly algorithm: number
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

const RSA = [3, 4, 8, 9]

export function createAuthenticatorKey(algorithm = 1): AuthenticatorKey {
  const pair = RSA.includes(algorithm)
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: algorithm < 5 ? 'P-256' : 'secp256k1' })
  return { algorithm, ...pair }
}

/** Signs as an authenticator with an algorithm of ALG_SIGN does. */
export function signAs(algorithm: number, key: KeyObject, data: Buffer): Buffer {
  const signature = sign('sha256', data, { key, ...signatureOptions(algorithm) })
  const isWrapped = algorithm === 4 || algorithm === 9
  return isWrapped ? Buffer.concat([Buffer.from('04820100', 'hex'), signature]) : signature
}

/** Returns the options of node:crypto for an algorithm of ALG_SIGN. */
export function signatureOptions(algorithm: number) {
  if (!RSA.includes(algorithm)) return { dsaEncoding: algorithm % 4 === 2 ? 'der' : 'ieee-p1363' } as const
  if (algorithm > 5) return { padding: constants.RSA_PKCS1_PADDING }
  return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
}

/** Returns `04‖X‖Y` of a key on a curve. */
export function rawPoint(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(-65)
}

export const encodeFcParams = (members: object = {}): string =>
  Buffer.from(
    JSON.stringify({ appID: APP_ID, challenge: CHALLENGE, facetID: FACET, channelBinding: {}, ...members }),
  ).toString('base64url')

export const hashOf = (text: string | Uint8Array): Buffer => createHash('sha256').update(text).digest()

interface CommonParts {
  readonly aaid?: string
  readonly keyId?: Uint8Array
  readonly fcParams?: string
  readonly mode?: number
  readonly version?: number
  readonly algorithm?: number
  readonly counter?: number
  /** Elements after the known ones. */
  readonly more?: Uint8Array
}

export const KEY_ID = Buffer.alloc(32, 1)

export interface RegistrationParts extends CommonParts {
  readonly key: AuthenticatorKey
  /** ALG_KEY and the encoded key; SPKI by default. */
  readonly keyFormat?: number
  readonly publicKey?: Uint8Array
  /** Certificates in base64 of DER; without any, the key attests itself. */
  readonly certificates?: readonly string[]
  readonly signer?: KeyObject
}

/** Returns a registration assertion, signed by the key itself or by {@link LEAF_KEY}. */
export function buildRegistration(parts: RegistrationParts): Buffer {
  const { key, certificates, aaid = AAID, keyId = KEY_ID, fcParams = encodeFcParams(), mode = 1, version = 1 } = parts
  const { counter = 1, more = Buffer.alloc(0) } = parts
  const algorithm = parts.algorithm ?? (certificates ? 1 : key.algorithm)
  const keyFormat = parts.keyFormat ?? (RSA.includes(key.algorithm) ? 0x103 : 0x101)
  const publicKey = parts.publicKey ?? key.publicKey.export({ type: 'spki', format: 'der' })
  const krd = tlv(
    TAG.KRD,
    tlv(TAG.AAID, Buffer.from(aaid)),
    tlv(TAG.ASSERTION_INFO, u16(version), Buffer.from([mode]), u16(algorithm), u16(keyFormat)),
    tlv(TAG.FINAL_CHALLENGE_HASH, hashOf(fcParams)),
    tlv(TAG.KEYID, keyId),
    tlv(TAG.COUNTERS, u32(counter), u32(1)),
    tlv(TAG.PUB_KEY, publicKey),
    more,
  )
  const signer = parts.signer ?? (certificates ? LEAF_KEY : key.privateKey)
  const signature = tlv(TAG.SIGNATURE, signAs(algorithm, signer, krd))
  const chain = certificates?.map((base64) => tlv(TAG.ATTESTATION_CERT, Buffer.from(base64, 'base64'))) ?? []
  const attestation = tlv(certificates ? TAG.BASIC_FULL : TAG.BASIC_SURROGATE, signature, ...chain)
  return tlv(TAG.REG_ASSERTION, krd, attestation)
}

export interface AuthenticationParts extends CommonParts {
  readonly key: AuthenticatorKey
  readonly transactionHash?: Uint8Array
  readonly nonce?: Uint8Array
}

/** Returns an authentication assertion. */
export function buildAuthentication(parts: AuthenticationParts): Buffer {
  const { key, aaid = AAID, keyId = KEY_ID, fcParams = encodeFcParams(), mode = 1, version = 1, counter = 2 } = parts
  const { algorithm = key.algorithm, transactionHash = Buffer.alloc(0), nonce = Buffer.alloc(8, 3) } = parts
  const signed = tlv(
    TAG.SIGNED_DATA,
    tlv(TAG.AAID, Buffer.from(aaid)),
    tlv(TAG.ASSERTION_INFO, u16(version), Buffer.from([mode]), u16(algorithm)),
    tlv(TAG.AUTHENTICATOR_NONCE, nonce),
    tlv(TAG.FINAL_CHALLENGE_HASH, hashOf(fcParams)),
    tlv(TAG.TRANSACTION_CONTENT_HASH, transactionHash),
    tlv(TAG.KEYID, keyId),
    tlv(TAG.COUNTERS, u32(counter)),
    parts.more ?? Buffer.alloc(0),
  )
  return tlv(TAG.AUTH_ASSERTION, signed, tlv(TAG.SIGNATURE, signAs(algorithm, key.privateKey, signed)))
}

interface ResponseParts {
  readonly op: 'Reg' | 'Auth'
  readonly assertions: readonly Uint8Array[]
  readonly serverData?: string
  readonly appId?: string
  readonly fcParams?: string
}

/** Returns a UAF response. */
export function buildResponse({ op, assertions, serverData = 'session', appId = APP_ID, fcParams }: ResponseParts) {
  return {
    header: { upv: { major: 1, minor: 1 }, op, appID: appId, serverData },
    fcParams: fcParams ?? encodeFcParams(),
    assertions: assertions.map((bytes) => ({
      assertionScheme: 'UAFV1TLV',
      assertion: Buffer.from(bytes).toString('base64url'),
    })),
  }
}
