import { stat } from 'node:fs/promises'

/** SQLite's files of a store, from its first transaction until the last process closes it. */
const SUFFIXES = ['', '-wal', '-shm'] as const

/**
 * Notes which files an open store has.
 *
 * @returns a function that tells whether the same files are still at their paths. Writes to files that have been moved, deleted or
 * replaced succeed, and are not in the store that the next start opens.
 */
export async function watchFiles(path: string): Promise<() => Promise<boolean>> {
  const identify = () => Promise.all(SUFFIXES.map((suffix) => identityOf(path + suffix)))
  const opened = await identify()
  return async () => (await identify()).every((identity, at) => identity === opened[at])
}

/** Returns device and inode of a file; undefined where there is none. */
async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true })
    return `${dev} ${ino}`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}
