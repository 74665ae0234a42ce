/** A tag, and its bytes or the elements that it is composed of. */
export interface Tlv {
  readonly tag: number
  readonly value: Uint8Array | readonly Tlv[]
}

/** Tags of the UAFV1TLV scheme (FIDO UAF registry of predefined values 1.1, section 5). */
export const TAG = {
  REG_ASSERTION: 0x3e01,
  AUTH_ASSERTION: 0x3e02,
  KRD: 0x3e03,
  SIGNED_DATA: 0x3e04,
  ATTESTATION_CERT: 0x2e05,
  SIGNATURE: 0x2e06,
  BASIC_FULL: 0x3e07,
  BASIC_SURROGATE: 0x3e08,
  KEYID: 0x2e09,
  FINAL_CHALLENGE_HASH: 0x2e0a,
  AAID: 0x2e0b,
  PUB_KEY: 0x2e0c,
  COUNTERS: 0x2e0d,
  ASSERTION_INFO: 0x2e0e,
  AUTHENTICATOR_NONCE: 0x2e0f,
  TRANSACTION_CONTENT_HASH: 0x2e10,
} as const

/** Encodes an element: tag and length as 16-bit little-endian integers, then the value (FIDO UAF authenticator commands 1.1, section 4). */
export function encodeTlv({ tag, value }: Tlv): Buffer {
  const content = value instanceof Uint8Array ? value : Buffer.concat(value.map(encodeTlv))
  return Buffer.concat([uint16(tag), uint16(content.length), content])
}

/** Encodes a 16-bit little-endian integer. */
export function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

/** Encodes a 32-bit little-endian integer. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
