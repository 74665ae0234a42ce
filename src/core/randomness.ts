/** Where every id and every random choice comes from; must be cryptographically strong outside tests. */
export interface Randomness {
  bytes(length: number): Uint8Array
  /** A lower-case version 4 UUID (RFC 9562). */
  uuid(): string
}
