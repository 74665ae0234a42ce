import { type FileVersions, queryFileVersion } from '../config/file-version.ts'

export interface ConfigWatchOptions {
  readonly intervalMs: number
  /** Returns the files in force; none while the configuration is not watched. */
  readonly files: () => FileVersions
  /** Loads the configuration again. Afterwards, `files` returns what that load has read. */
  readonly reload: () => Promise<unknown>
}

/**
 * Reloads after a file has changed and then stayed unchanged for an interval: a file that is being written is not read.
 * Compares files instead of waiting for events, which follow neither the symbolic links that Kubernetes swaps nor network file
 * systems.
 *
 * @returns a function that stops the watch.
 */
export function watchConfig({ intervalMs, files, reload }: ConfigWatchOptions): () => void {
  let isChecking = false
  /** The versions of the previous check, if they differed from those in force. */
  let changing: string | undefined

  async function check(): Promise<void> {
    if (isChecking) return
    isChecking = true
    const inForce = files()
    const current = await Promise.all([...inForce.keys()].map(queryFileVersion))
    const versions = current.join('\n')
    if (versions === [...inForce.values()].join('\n')) changing = undefined
    else if (versions !== changing) changing = versions
    else {
      changing = undefined
      await reload().catch(() => undefined)
    }
    isChecking = false
  }

  const timer = setInterval(check, intervalMs).unref()
  return () => clearInterval(timer)
}
