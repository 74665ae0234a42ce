/** An authenticator's model (FIDO UAF 1.1 protocol, section 3.1.4): vendor and model in hexadecimal digits of any case. */
export const AAID_PATTERN = /^[0-9a-f]{4}#[0-9a-f]{4}$/i

/** Returns the form in which AAIDs are compared. */
export function foldAaid(aaid: string): string {
  return aaid.toUpperCase()
}

/** Identifies a key. */
export interface KeyName {
  /** As the authenticator writes it. Letters of either case are equal. */
  readonly aaid: string
  /** Base64url without padding. */
  readonly keyId: string
}

/** Returns a text that is equal for equal keys. */
export function keyOf({ aaid, keyId }: KeyName): string {
  return `${foldAaid(aaid)} ${keyId}`
}
