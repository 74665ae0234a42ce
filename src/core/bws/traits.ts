const TRAIT_BITS = { Face: 1, Periocular: 2, Voice: 4 } as const

export type BwsTrait = keyof typeof TRAIT_BITS
export const BWS_TRAITS = Object.keys(TRAIT_BITS) as [BwsTrait, ...BwsTrait[]]

/** The `traits` claim: the bits of the traits, each counted once (B28). */
export function encodeTraits(traits: readonly BwsTrait[]): number {
  return traits.reduce<number>((bits, trait) => bits | TRAIT_BITS[trait], 0)
}

/** The traits that a `traits` claim names, in the order of their bits. */
export function decodeTraits(bits: number): BwsTrait[] {
  return BWS_TRAITS.filter((trait) => (bits & TRAIT_BITS[trait]) !== 0)
}
