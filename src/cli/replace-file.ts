import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Randomness } from '../core/randomness.ts'

/**
 * Replaces a file atomically: a reader, or a crash, sees either the old text or the new one. Keeps mode and owner, and
 * follows a link.
 *
 * @returns the system's error code if nothing was changed, or undefined.
 */
export function replaceFile(path: string, text: string, randomness: Randomness): string | undefined {
  let temporary: string | undefined
  try {
    const file = realpathSync(path)
    const { mode, uid, gid } = statSync(file)
    // Root may write a read-only file, but its operator made it read-only on purpose.
    if ((mode & 0o222) === 0) return 'EACCES'
    accessSync(file, constants.W_OK)
    temporary = join(dirname(file), `.${basename(file)}.${randomness.uuid()}`)
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o600, flush: true })
    chownSync(temporary, uid, gid)
    chmodSync(temporary, mode & 0o7777)
    renameSync(temporary, file)
    return undefined
  } catch (error) {
    if (temporary) rmSync(temporary, { force: true })
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    return code
  }
}
