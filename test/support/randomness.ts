import type { Randomness } from '../../src/core/randomness.ts'

/** Returns bytes and UUIDs that count up, the same in every run. */
export function createPredictableRandomness(): Randomness {
  let drawn = 0
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => drawn++ % 256)
  const uuid = (): string => `00000000-0000-4000-8000-${(drawn++).toString(16).padStart(12, '0')}`
  return { bytes, uuid }
}
