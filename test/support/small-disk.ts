import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A small disk that can be filled. */
export interface SmallDisk extends Disposable {
  readonly folder: string
  /** Uses up the free space. */
  fill(): void
  /** Frees it again. */
  clear(): void
}

/** Large pieces first, then small ones, so that the disk is full to the last page. */
const PIECES = [Buffer.alloc(2 ** 20), Buffer.alloc(2 ** 12)]

/**
 * @param size in MiB.
 * @returns undefined when this process may not mount one.
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
          // The disk is full.
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

/** Returns whether this process may mount a small disk. */
export function canMount(): boolean {
  using disk = mountSmallDisk()
  if (!disk) process.stderr.write('skipped: a full disk, because this process cannot mount one\n')
  return disk !== undefined
}
