import { AAID_PATTERN, type KeyName } from '../aaid.ts'
import { demand } from '../failure.ts'
import { TAG } from './tags.ts'
import { type Element, requireChild } from './tlv.ts'

/** What KRD and SIGNED_DATA have in common (U19). */
export interface SignedFields extends KeyName {
  /** The whole element: what is signed. */
  readonly signed: Buffer
  readonly authenticatorVersion: number
  readonly mode: number
  /** ALG_SIGN. */
  readonly algorithm: number
  readonly finalChallengeHash: Buffer
  readonly signCounter: number
  /** ASSERTION_INFO, whose last field differs. */
  readonly info: Buffer
}

const MIN_KEY_ID_BYTES = 32
const MAX_KEY_ID_BYTES = 2048

/** Lengths in bytes of values that differ between the operations. */
interface FieldLengths {
  readonly info: number
  readonly counters: number
}

/**
 * Reads the common fields of KRD or SIGNED_DATA.
 *
 * @throws UafError `bad_assertion` for a missing or repeated field, and for a value of another length or form.
 */
export function readSignedFields(
  element: Element,
  { info: infoBytes, counters: counterBytes }: FieldLengths,
): SignedFields {
  const readValue = (tag: number): Buffer => requireChild(element, tag).value
  const aaid = readValue(TAG.AAID).toString('latin1')
  const info = readValue(TAG.ASSERTION_INFO)
  const finalChallengeHash = readValue(TAG.FINAL_CHALLENGE_HASH)
  const keyId = readValue(TAG.KEYID)
  const counters = readValue(TAG.COUNTERS)
  demand(AAID_PATTERN.test(aaid), 'bad_assertion')
  demand(info.length === infoBytes && counters.length === counterBytes, 'bad_assertion')
  demand(keyId.length >= MIN_KEY_ID_BYTES && keyId.length <= MAX_KEY_ID_BYTES, 'bad_assertion')
  return {
    signed: element.bytes,
    aaid,
    keyId: keyId.toString('base64url'),
    authenticatorVersion: info.readUInt16LE(0),
    mode: info.readUInt8(2),
    algorithm: info.readUInt16LE(3),
    finalChallengeHash,
    signCounter: counters.readUInt32LE(0),
    info,
  }
}
