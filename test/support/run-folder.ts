import { existsSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inject } from 'vitest'

/** Whether this run has a folder: benchmarks have none. */
export const hasRunFolder = (): boolean => process.env.VITEST === 'true'

/**
 * Makes a folder of this name once for the whole run. Several workers of Vitest may need it at the same time: the first
 * one makes it, and the others wait.
 *
 * @param make creates the folder at this path.
 * @returns its path.
 */
export async function makeOnce(name: string, make: (path: string) => Promise<void>): Promise<string> {
  const finished = join(inject('runFolder'), name)
  const isFirst = await open(`${finished}.lock`, 'wx').then(
    (lock) => lock.close().then(() => true),
    () => false,
  )
  if (isFirst) {
    const draft = `${finished}.draft`
    await make(draft)
    await rename(draft, finished)
  }
  while (!existsSync(finished)) await sleep(50)
  return finished
}
