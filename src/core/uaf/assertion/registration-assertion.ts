import { demand } from '../failure.ts'
import { readSignedFields, type SignedFields } from './fields.ts'
import { TAG } from './tags.ts'
import { certificatesOf, type Element, findChild, requireChild } from './tlv.ts'

/** A parsed TAG_UAFV1_REG_ASSERTION (U19). */
export interface RegistrationAssertion extends SignedFields {
  /** ALG_KEY. */
  readonly keyFormat: number
  readonly publicKey: Buffer
  readonly attestation: Attestation
}

/** Attestation types, which are also the values of MatchCriteria.attestationTypes (FIDO registry, section 3.6.3). */
type Attestation =
  | { readonly type: typeof TAG.BASIC_FULL; readonly signature: Buffer; readonly certificates: readonly Buffer[] }
  | { readonly type: typeof TAG.BASIC_SURROGATE; readonly signature: Buffer }
  | { readonly type: typeof TAG.ECDAA }

/** Lengths of ASSERTION_INFO and COUNTERS in bytes. */
const LENGTHS = { info: 7, counters: 8 }

/** @throws UafError `bad_assertion` for anything else than a registration assertion. */
export function readRegistrationAssertion(element: Element): RegistrationAssertion {
  demand(element.tag === TAG.REG_ASSERTION, 'bad_assertion')
  const data = requireChild(element, TAG.KRD)
  const fields = readSignedFields(data, LENGTHS)
  const publicKey = requireChild(data, TAG.PUB_KEY).value
  // A transaction cannot be part of a registration.
  demand(fields.mode === 1, 'bad_assertion')
  return { ...fields, keyFormat: fields.info.readUInt16LE(5), publicKey, attestation: readAttestation(element) }
}

function readAttestation(element: Element): Attestation {
  const full = findChild(element, TAG.BASIC_FULL)
  const surrogate = findChild(element, TAG.BASIC_SURROGATE)
  const ecdaa = findChild(element, TAG.ECDAA)
  const [attestation, ...others] = [full, surrogate, ecdaa].filter((candidate) => candidate !== undefined)
  demand(attestation && others.length === 0, 'bad_assertion')
  if (attestation === ecdaa) return { type: TAG.ECDAA }
  const signature = requireChild(attestation, TAG.SIGNATURE).value
  if (attestation === surrogate) return { type: TAG.BASIC_SURROGATE, signature }
  const certificates = certificatesOf(attestation)
  demand(certificates.length > 0, 'bad_assertion')
  return { type: TAG.BASIC_FULL, signature, certificates }
}
