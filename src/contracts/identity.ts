/** What a good token says of its bearer, for the service behind a gateway. */
export type Identity = Readonly<Record<`x-trimint-${string}`, string | number | undefined>>

/** The headers of an identity; what is not set is no header. */
export function identityHeaders(identity: Identity): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(identity)) {
    if (value !== undefined && value !== '') headers[name] = encodeHeaderValue(String(value))
  }
  return headers
}

/**
 * Text that is safe in a header, whatever it holds: percent-encoded UTF-8 (RFC 3986 section 2.1) for everything but visible ASCII.
 * decodeURIComponent reads it back.
 */
function encodeHeaderValue(text: string): string {
  return text.replace(/[^!-$&-~]+/g, (unsafe) => encodeURIComponent(unsafe.toWellFormed()))
}
