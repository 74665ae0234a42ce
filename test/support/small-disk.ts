import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A disk of its own that can really be full. */
export interface SmallDisk extends Disposable {
  readonly folder: string
  /** Takes all the room that is left. */
  fill(): void
  /** Gives it back. */
  clear(): void
}

/** First by large pieces, then to the last byte. */
const PIECES = [Buffer.alloc(2 ** 20), Buffer.alloc(2 ** 12)]

/**
 * @param size in MiB.
 * @returns nothing where this process may not mount one.
 */
export function mountSmallDisk(size = 4): SmallDisk | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}m`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    rmSync(folder, { recursive: true })
    return undefined
  }
  const ballast = join(folder, 'ballast')
  return {
    folder,
    fill() {
      for (const piece of PIECES) {
        try {
          for (;;) writeFileSync(ballast, piece, { flag: 'a' })
        } catch {
          // Full.
        }
      }
    },
    clear: () => rmSync(ballast, { force: true }),
    [Symbol.dispose]() {
      execFileSync('umount', ['--lazy', folder])
      rmSync(folder, { recursive: true })
    },
  }
}

/** Whether this process may mount one. */
export function canMount(): boolean {
  using disk = mountSmallDisk()
  if (!disk) process.stderr.write('left out: a disk that is really full, since nothing can be mounted here\n')
  return disk !== undefined
}
