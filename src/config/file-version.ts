import { statSync } from 'node:fs'
import { stat } from 'node:fs/promises'

/** Each file that a configuration was read from, with its version at that time. */
export type FileVersions = ReadonlyMap<string, string>

/**
 * Returns a text that differs after a file has been written or replaced, or after a symbolic link on its path points elsewhere.
 * For a file that cannot be examined, it is the error's code.
 */
export function readFileVersion(path: string): string {
  try {
    return formatVersion(statSync(path, { bigint: true }))
  } catch (error) {
    return codeOf(error)
  }
}

/** Returns the same text as {@link readFileVersion}, without blocking the process. */
export async function queryFileVersion(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(formatVersion, codeOf)
}

interface FileIdentity {
  readonly dev: bigint
  readonly ino: bigint
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

function formatVersion({ dev, ino, size, mtimeNs, ctimeNs }: FileIdentity): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code)
}
