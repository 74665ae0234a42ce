import { timingSafeEqual } from 'node:crypto'
import { sha256 } from './sha256.ts'

/** A secret that is accepted until its time is over. Several at once let an operator replace one without a gap. */
export interface SecretSlot {
  /** SHA-256 of the secret. Enough for random secrets of 256 bits; people's passwords are argon2id. */
  readonly digest: Uint8Array
  /** Milliseconds since the epoch; refused from then on. */
  readonly notAfter: number
}

/** What an unknown id is compared against, so that it costs what a wrong secret costs. */
const NOBODY: readonly SecretSlot[] = [{ digest: new Uint8Array(32), notAfter: Number.NEGATIVE_INFINITY }]

/** SHA-256 of a secret's UTF-8 text. */
export function digestSecret(secret: string): Uint8Array {
  return sha256(secret)
}

/**
 * The one comparison of secrets: constant time, and every slot is looked at.
 *
 * @param slots undefined for an id that does not exist: the same work, never a match.
 * @param now milliseconds since the epoch.
 * @returns the index of the slot that matched.
 */
export function matchSecret(secret: string, slots: readonly SecretSlot[] | undefined, now: number): number | undefined {
  const digest = digestSecret(secret)
  let matched: number | undefined
  let index = 0
  for (const slot of slots ?? NOBODY) {
    const equal = timingSafeEqual(digest, slot.digest)
    if (equal && now < slot.notAfter) matched = index
    index += 1
  }
  return matched
}
