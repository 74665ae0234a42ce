import { randomBytes, randomUUID } from 'node:crypto'
import type { Randomness } from '../core/randomness.ts'

/** Draws random bytes and ids from the operating system. */
export const systemRandomness: Randomness = { bytes: (length) => randomBytes(length), uuid: () => randomUUID() }
