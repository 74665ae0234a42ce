const TRAIT_BITS = { Face: 1, Periocular: 2, Voice: 4 } as const

export type BwsTrait = keyof typeof TRAIT_BITS
export const BWS_TRAITS = Object.keys(TRAIT_BITS) as [BwsTrait, ...BwsTrait[]]

/** Encodes the `traits` claim as bits; duplicates do not matter (B28). */
export function encodeTraits(traits: readonly BwsTrait[]): number {
  return traits.reduce<number>((bits, trait) => bits | TRAIT_BITS[trait], 0)
}

/** Decodes a `traits` claim, in the order of the bits. */
export function decodeTraits(bits: number): BwsTrait[] {
  return BWS_TRAITS.filter((trait) => (bits & TRAIT_BITS[trait]) !== 0)
}
