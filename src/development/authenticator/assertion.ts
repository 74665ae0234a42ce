import type { KeyObject } from 'node:crypto'
import { encodePublicKey, type KeyFormat, type SignatureAlgorithm, signWith } from './algorithms.ts'
import { encodeTlv, TAG, type Tlv, uint16, uint32 } from './tlv.ts'

/** Changes an assertion while it is made, to test a server. */
export interface AssertionChanges {
  /** Replaces what is signed: the elements of KRD or SIGNED_DATA. */
  readonly signed?: ((elements: Tlv[]) => readonly Tlv[]) | undefined
  /** Replaces the elements of the finished assertion: KRD and attestation, or SIGNED_DATA and SIGNATURE. */
  readonly assertion?: ((elements: Tlv[]) => readonly Tlv[]) | undefined
}

/** Basic full attestation: the key of a model, and certificates from its own to one that a root issued, in DER. */
export interface Attestation {
  readonly algorithm: SignatureAlgorithm
  readonly privateKey: KeyObject
  readonly certificates: readonly Uint8Array[]
}

interface Common {
  readonly aaid: string
  readonly keyId: Uint8Array
  readonly algorithm: SignatureAlgorithm
  readonly authenticatorVersion: number
  /** SHA-256 of the final challenge parameters as sent. */
  readonly finalChallengeHash: Uint8Array
  readonly signCounter: number
}

export interface RegistrationDetails extends Common {
  readonly publicKey: KeyObject
  readonly keyFormat: KeyFormat
  readonly regCounter: number
  /** Signs a surrogate attestation; the private key to `publicKey`, unless the authenticator misbehaves. */
  readonly privateKey: KeyObject
  /** Undefined makes a surrogate attestation. */
  readonly attestation: Attestation | undefined
}

export interface AuthenticationDetails extends Common {
  readonly privateKey: KeyObject
  readonly nonce: Uint8Array
  /** SHA-256 of the transaction's content; empty without a transaction. */
  readonly transactionHash: Uint8Array
}

/** The values of AuthenticationMode (FIDO UAF authenticator commands 1.1, section 5.2.2). */
const MODE = { VERIFIED: 1, CONFIRMED: 2 } as const

/** Makes the assertion of a registration, in bytes (FIDO UAF authenticator commands 1.1, section 5.2.1). */
export function createRegistrationAssertion(details: RegistrationDetails, changes: AssertionChanges = {}): Buffer {
  const { attestation, keyFormat } = details
  const algorithm = attestation?.algorithm ?? details.algorithm
  const elements: Tlv[] = [
    { tag: TAG.AAID, value: Buffer.from(details.aaid) },
    {
      tag: TAG.ASSERTION_INFO,
      value: Buffer.concat([
        uint16(details.authenticatorVersion),
        Buffer.from([MODE.VERIFIED]),
        uint16(algorithm),
        uint16(keyFormat),
      ]),
    },
    { tag: TAG.FINAL_CHALLENGE_HASH, value: details.finalChallengeHash },
    { tag: TAG.KEYID, value: details.keyId },
    { tag: TAG.COUNTERS, value: Buffer.concat([uint32(details.signCounter), uint32(details.regCounter)]) },
    { tag: TAG.PUB_KEY, value: encodePublicKey(keyFormat, details.publicKey) },
  ]
  const krd: Tlv = { tag: TAG.KRD, value: changes.signed?.(elements) ?? elements }
  const signature = signWith(algorithm, encodeTlv(krd), attestation?.privateKey ?? details.privateKey)
  const signed: Tlv = { tag: TAG.SIGNATURE, value: signature }
  const certificates = attestation?.certificates.map((value): Tlv => ({ tag: TAG.ATTESTATION_CERT, value }))
  const attested: Tlv = certificates
    ? { tag: TAG.BASIC_FULL, value: [signed, ...certificates] }
    : { tag: TAG.BASIC_SURROGATE, value: [signed] }
  return finish(TAG.REG_ASSERTION, [krd, attested], changes)
}

/** Makes the assertion of an authentication, in bytes (FIDO UAF authenticator commands 1.1, section 5.2.2). */
export function createAuthenticationAssertion(details: AuthenticationDetails, changes: AssertionChanges = {}): Buffer {
  const { algorithm, transactionHash } = details
  const mode = transactionHash.length === 0 ? MODE.VERIFIED : MODE.CONFIRMED
  const elements: Tlv[] = [
    { tag: TAG.AAID, value: Buffer.from(details.aaid) },
    {
      tag: TAG.ASSERTION_INFO,
      value: Buffer.concat([uint16(details.authenticatorVersion), Buffer.from([mode]), uint16(algorithm)]),
    },
    { tag: TAG.AUTHENTICATOR_NONCE, value: details.nonce },
    { tag: TAG.FINAL_CHALLENGE_HASH, value: details.finalChallengeHash },
    { tag: TAG.TRANSACTION_CONTENT_HASH, value: transactionHash },
    { tag: TAG.KEYID, value: details.keyId },
    { tag: TAG.COUNTERS, value: uint32(details.signCounter) },
  ]
  const data: Tlv = { tag: TAG.SIGNED_DATA, value: changes.signed?.(elements) ?? elements }
  const signature = signWith(algorithm, encodeTlv(data), details.privateKey)
  return finish(TAG.AUTH_ASSERTION, [data, { tag: TAG.SIGNATURE, value: signature }], changes)
}

function finish(tag: number, elements: Tlv[], changes: AssertionChanges): Buffer {
  return encodeTlv({ tag, value: changes.assertion?.(elements) ?? elements })
}
