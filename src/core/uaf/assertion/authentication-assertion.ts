import { demand } from '../failure.ts'
import { readSignedFields, type SignedFields } from './fields.ts'
import { TAG } from './tags.ts'
import { type Element, requireChild } from './tlv.ts'

/** A parsed TAG_UAFV1_AUTH_ASSERTION (U19). */
export interface AuthenticationAssertion extends SignedFields {
  /** Empty where the user confirmed no transaction. */
  readonly transactionHash: Buffer
  readonly signature: Buffer
}

/** Lengths of ASSERTION_INFO and COUNTERS in bytes. */
const LENGTHS = { info: 5, counters: 4 }

const MIN_NONCE_BYTES = 8

/** @throws UafError `bad_assertion` for anything else than an authentication assertion. */
export function readAuthenticationAssertion(element: Element): AuthenticationAssertion {
  demand(element.tag === TAG.AUTH_ASSERTION, 'bad_assertion')
  const data = requireChild(element, TAG.SIGNED_DATA)
  const fields = readSignedFields(data, LENGTHS)
  const nonce = requireChild(data, TAG.AUTHENTICATOR_NONCE).value
  demand(nonce.length >= MIN_NONCE_BYTES, 'bad_assertion')
  const transactionHash = requireChild(data, TAG.TRANSACTION_CONTENT_HASH).value
  return { ...fields, transactionHash, signature: requireChild(element, TAG.SIGNATURE).value }
}
