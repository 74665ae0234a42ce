const DIGITS = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')

/**
 * Writes the first bytes of a source as base64url without padding (RFC 4648 section 5) into a target that has room for it. From bytes
 * to bytes, which Buffer's own encoder cannot: it makes a string, which would have to be written into bytes again.
 *
 * @returns where the next byte of the target goes.
 */
export function writeBase64url(source: Uint8Array, length: number, target: Uint8Array, start: number): number {
  let at = start
  let index = 0
  for (; index + 2 < length; index += 3) {
    const group = (byteAt(source, index) << 16) | (byteAt(source, index + 1) << 8) | byteAt(source, index + 2)
    target[at] = digit(group >> 18)
    target[at + 1] = digit(group >> 12)
    target[at + 2] = digit(group >> 6)
    target[at + 3] = digit(group)
    at += 4
  }
  if (index === length) return at
  const isPair = index + 1 < length
  const group = (byteAt(source, index) << 16) | (isPair ? byteAt(source, index + 1) << 8 : 0)
  target[at] = digit(group >> 18)
  target[at + 1] = digit(group >> 12)
  if (isPair) target[at + 2] = digit(group >> 6)
  return at + (isPair ? 3 : 2)
}

function digit(bits: number): number {
  return byteAt(DIGITS, bits & 0x3f)
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number
}
