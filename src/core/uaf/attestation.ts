import type { KeyObject, X509Certificate } from 'node:crypto'
import type { RegistrationAssertion } from './assertion/registration-assertion.ts'
import { TAG } from './assertion/tags.ts'
import { demand } from './failure.ts'
import { verifySignature } from './keys/algorithms.ts'
import { allowsAaid, isValidChain } from './keys/certificates.ts'
import type { MetadataStatement } from './metadata.ts'
import type { UafRules } from './verdict.ts'

interface AttestationContext {
  /** The key that was registered. */
  readonly key: KeyObject
  /** Of BASIC_FULL; undefined where they cannot be parsed. */
  readonly certificates: readonly X509Certificate[] | undefined
  readonly statement: MetadataStatement | undefined
  readonly required: UafRules['attestation']
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** Verifies the attestation of a registered key (U24, U25). @throws UafError `bad_attestation`. */
export function verifyAttestation(
  { attestation, algorithm, signed, aaid }: RegistrationAssertion,
  { key, certificates, statement, required, now }: AttestationContext,
): void {
  demand(isExpectedType(attestation.type, statement, required), 'bad_attestation')
  if (attestation.type === TAG.BASIC_SURROGATE) {
    demand(verifySignature(algorithm, key, signed, attestation.signature), 'bad_attestation')
    return
  }
  demand(attestation.type === TAG.BASIC_FULL, 'bad_attestation')
  const signer = certificates?.[0]
  demand(certificates && signer, 'bad_attestation')
  demand(verifySignature(algorithm, signer.publicKey, signed, attestation.signature), 'bad_attestation')
  demand(isValidChain(certificates, statement?.roots, now) && allowsAaid(signer, aaid), 'bad_attestation')
}

function isExpectedType(
  type: number,
  statement: MetadataStatement | undefined,
  required: UafRules['attestation'],
): boolean {
  const isFull = type === TAG.BASIC_FULL
  if (required === 'basic' && !isFull) return false
  return !statement || isFull === statement.roots.length > 0
}
