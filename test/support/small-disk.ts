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

const BLOCK = Buffer.alloc(4_096)

/** @returns nothing where this process may not mount one. */
export function mountSmallDisk(): SmallDisk | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    rmSync(folder, { recursive: true })
    return undefined
  }
  const ballast = join(folder, 'ballast')
  return {
    folder,
    fill() {
      try {
        for (;;) writeFileSync(ballast, BLOCK, { flag: 'a' })
      } catch {
        // Full.
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
