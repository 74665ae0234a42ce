/**
 * Decodes base64url without padding (RFC 4648, section 5). Returns undefined for other text, also where unused bits of
 * the last character are set: two texts would stand for the same bytes.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}
