import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MIN_KEY_BYTES } from '../core/crypto/keyring.ts'
import type { Randomness } from '../core/randomness.ts'

/**
 * Returns the key of the demo, which is kept between starts so that tokens outlive a restart. Processes that start at
 * the same time get the same key.
 *
 * @param randomness creates the key if there is none; without it, a missing key is an error.
 * @throws NodeJS.ErrnoException if the key cannot be read or written.
 */
export function readDemoKey(folder: string, randomness: Randomness | undefined): string {
  const file = join(folder, 'development.key')
  if (randomness) createKeyFile(folder, file, randomness)
  return readFileSync(file, 'utf8')
}

function createKeyFile(folder: string, file: string, randomness: Randomness): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  try {
    const key = Buffer.from(randomness.bytes(MIN_KEY_BYTES)).toString('base64url')
    writeFileSync(file, key, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
