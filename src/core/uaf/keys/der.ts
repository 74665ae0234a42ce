/** One value of DER (ITU-T X.690): the tag's octet, the content, and the bytes that follow. */
export interface DerValue {
  readonly tag: number
  readonly content: Buffer
  readonly rest: Buffer
}

export const DER_TAG = {
  OCTET_STRING: 0x04,
  OBJECT_IDENTIFIER: 0x06,
  SEQUENCE: 0x30,
  /** `[3] EXPLICIT`: the extensions of a certificate (RFC 5280, section 4.1). */
  EXTENSIONS: 0xa3,
} as const

/** Lengths from this octet on say how many octets of length follow. */
const LONG_FORM = 0x80

/** Nothing in a UAF message has a length of more octets. */
const MAX_LENGTH_OCTETS = 2

/** Reads the value at the start of some bytes. Returns undefined where it is not DER with a tag of one octet. */
export function readDer(bytes: Buffer): DerValue | undefined {
  const [tag, first] = bytes
  if (tag === undefined || first === undefined) return undefined
  const octets = first < LONG_FORM ? 0 : first - LONG_FORM
  const start = 2 + octets
  if (octets > MAX_LENGTH_OCTETS || bytes.length < start || first === LONG_FORM) return undefined
  const length = octets === 0 ? first : bytes.readUIntBE(2, octets)
  // A length has the shortest of its forms.
  if (octets > 0 && length < (octets === 1 ? LONG_FORM : 0x100)) return undefined
  const end = start + length
  return end > bytes.length ? undefined : { tag, content: bytes.subarray(start, end), rest: bytes.subarray(end) }
}

/** Returns the content of bytes that are one value with a tag, and nothing else. */
export function readWhole(bytes: Buffer, tag: number): Buffer | undefined {
  const value = readDer(bytes)
  return value?.tag === tag && value.rest.length === 0 ? value.content : undefined
}

/** Returns the values in the content of a SEQUENCE, up to the first bytes that are not DER; none of no content. */
export function readMembers(content: Buffer | undefined): DerValue[] {
  const members: DerValue[] = []
  for (let value = content && readDer(content); value; value = readDer(value.rest)) members.push(value)
  return members
}
