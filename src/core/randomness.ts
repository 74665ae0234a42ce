/** The source of every id and random choice; cryptographically strong outside tests. */
export interface Randomness {
  bytes(length: number): Uint8Array
  /** Returns a lower-case version 4 UUID (RFC 9562). */
  uuid(): string
}
