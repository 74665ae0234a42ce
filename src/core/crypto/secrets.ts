import { timingSafeEqual } from 'node:crypto'
import { sha256 } from './sha256.ts'

/** A secret and its end. Two overlapping slots let an operator replace a secret without downtime. */
export interface SecretSlot {
  /** SHA-256 of the secret. That is enough for random secrets; passwords of people use argon2id. */
  readonly digest: Uint8Array
  /** Milliseconds since the epoch. From then on the secret is rejected. */
  readonly notAfter: number
}

/** Compared with the secret of an unknown id, which then takes as long as a wrong secret. */
const DECOY_SLOTS: readonly SecretSlot[] = [{ digest: new Uint8Array(32), notAfter: Number.NEGATIVE_INFINITY }]

/** Computes SHA-256 of a secret in UTF-8. */
export function digestSecret(secret: string): Uint8Array {
  return sha256(secret)
}

/**
 * Compares a secret with every slot, in constant time.
 *
 * @param slots undefined for an unknown id: takes the same time and never matches.
 * @param now milliseconds since the epoch.
 * @returns the index of the matching slot, or undefined.
 */
export function matchSecret(secret: string, slots: readonly SecretSlot[] | undefined, now: number): number | undefined {
  const digest = digestSecret(secret)
  let matched: number | undefined
  let index = 0
  for (const slot of slots ?? DECOY_SLOTS) {
    const equal = timingSafeEqual(digest, slot.digest)
    if (equal && now < slot.notAfter) matched = index
    index += 1
  }
  return matched
}
