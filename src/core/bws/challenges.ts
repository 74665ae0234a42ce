import type { Randomness } from '../randomness.ts'

// Order matters: index ^ 1 is the opposite direction, index ^ 2 is on the other axis.
const DIRECTIONS = ['up', 'down', 'left', 'right'] as const

export type Direction = (typeof DIRECTIONS)[number]

/** How many movements a row may have (B14). */
export const CHALLENGES_RANGE = { minimum: 2, maximum: 7 } as const

/**
 * Creates the `challenge` claim: one row of head movements for each try (B30).
 *
 * @param length movements in a row.
 */
export function createChallenges(rows: number, length: number, randomness: Randomness): Direction[][] {
  const random = randomness.bytes(rows * length)
  return Array.from({ length: rows }, (_, row) => createRow(random.subarray(row * length, (row + 1) * length)))
}

/** Creates a row from one random byte for each movement: back and forth on one axis, then on the other (B31). */
function createRow(random: Uint8Array): Direction[] {
  let previous = 0
  return Array.from(random, (byte, position) => {
    if (position === 0) previous = byte & 3
    else if (position % 2 === 1) previous ^= 1
    else previous = (previous ^ 2 ^ (byte & 1)) & 3
    return DIRECTIONS[previous] as Direction
  })
}
