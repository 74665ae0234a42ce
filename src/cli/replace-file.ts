import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Why a file was not replaced; nothing was changed. */
export type Obstacle =
  /** The system's error code for a file that cannot be written. */
  | { readonly reason: 'unwritable'; readonly code: string }
  | { readonly reason: 'changed' }
  /** Another command is writing the file, or ended before it removed its temporary file. */
  | { readonly reason: 'busy'; readonly temporary: string }

/**
 * Replaces a file atomically, unless it has changed: a reader, or a crash, sees either the old text or the new one.
 * Keeps mode and owner, and follows a link. The temporary file has a fixed name, so that it is a lock against other
 * commands.
 *
 * @param before the text that the file must still have.
 */
export function replaceFile(path: string, before: string, text: string): Obstacle | undefined {
  let created: string | undefined
  try {
    const file = realpathSync(path)
    const { mode, uid, gid } = statSync(file)
    // Root may write a read-only file, but its operator made it read-only on purpose.
    if ((mode & 0o222) === 0) return { reason: 'unwritable', code: 'EACCES' }
    accessSync(file, constants.W_OK)
    const temporary = join(dirname(file), `.${basename(file)}.new`)
    if (!createFile(temporary, text)) return { reason: 'busy', temporary }
    created = temporary
    chownSync(temporary, uid, gid)
    chmodSync(temporary, mode & 0o7777)
    if (readFileSync(file, 'utf8') !== before) return { reason: 'changed' }
    renameSync(temporary, file)
    created = undefined
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    return { reason: 'unwritable', code }
  } finally {
    if (created !== undefined) rmSync(created, { force: true })
  }
}

/** Returns whether the file was created: false if it exists. */
function createFile(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o600, flush: true })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
