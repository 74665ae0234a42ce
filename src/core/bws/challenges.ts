import type { Randomness } from '../randomness.ts'

// The order matters: opposites are neighbours (index ^ 1), the two axes are two apart (index ^ 2).
const DIRECTIONS = ['up', 'down', 'left', 'right'] as const

export type Direction = (typeof DIRECTIONS)[number]

/** How many movements a challenge asks for (B14). */
export const CHALLENGES = { minimum: 2, maximum: 7 } as const

/**
 * The `challenge` claim: a row of head movements for each try (B30).
 *
 * @param rows one for each try.
 * @param length movements in a row.
 */
export function createChallenges(rows: number, length: number, randomness: Randomness): Direction[][] {
  const random = randomness.bytes(rows * length)
  return Array.from({ length: rows }, (_, row) => createRow(random.subarray(row * length, (row + 1) * length)))
}

/** One byte of chance for each movement; back and forth on one axis, then on the other (B31). */
function createRow(random: Uint8Array): Direction[] {
  let previous = 0
  return Array.from(random, (byte, position) => {
    if (position === 0) previous = byte & 3
    else if (position % 2 === 1) previous ^= 1
    else previous = (previous ^ 2 ^ (byte & 1)) & 3
    return DIRECTIONS[previous] as Direction
  })
}
