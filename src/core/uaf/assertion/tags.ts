/** Tags of UAFV1TLV (FIDO UAF 1.1 authenticator commands, section 4.1). */
export const TAG = {
  REG_ASSERTION: 0x3e01,
  AUTH_ASSERTION: 0x3e02,
  KRD: 0x3e03,
  SIGNED_DATA: 0x3e04,
  ATTESTATION_CERT: 0x2e05,
  SIGNATURE: 0x2e06,
  BASIC_FULL: 0x3e07,
  BASIC_SURROGATE: 0x3e08,
  ECDAA: 0x3e09,
  KEYID: 0x2e09,
  FINAL_CHALLENGE_HASH: 0x2e0a,
  AAID: 0x2e0b,
  PUB_KEY: 0x2e0c,
  COUNTERS: 0x2e0d,
  ASSERTION_INFO: 0x2e0e,
  AUTHENTICATOR_NONCE: 0x2e0f,
  TRANSACTION_CONTENT_HASH: 0x2e10,
  EXTENSION_CRITICAL: 0x3e11,
  EXTENSION: 0x3e12,
  EXTENSION_ID: 0x2e13,
  EXTENSION_DATA: 0x2e14,
} as const

/** The bit of tags whose value is a sequence of elements. */
export const COMPOSITE = 0x1000

/** The bit of tags that a receiver must know. */
const CRITICAL = 0x2000

const KNOWN: ReadonlySet<number> = new Set(Object.values(TAG))

/** Returns whether a tag makes the whole message unacceptable (U18): no critical extension is supported. */
export function isUnsupported(tag: number): boolean {
  return tag === TAG.EXTENSION_CRITICAL || ((tag & CRITICAL) !== 0 && !KNOWN.has(tag))
}
