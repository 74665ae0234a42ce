import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * Returns whether a program is on the PATH, for `test.skipIf`. With CI=true it throws when one is missing, because
 * .ci/run installs them all.
 */
export function hasProgram(name: string): boolean {
  const found = findProgram(name) !== undefined
  if (!found && process.env.CI === 'true') throw new Error(`${name} is missing, and CI skips nothing`)
  if (!found) process.stderr.write(`skipped: tests that need ${name}, which is not installed\n`)
  return found
}

const WITHOUT = (process.env.TRIMINT_TEST_WITHOUT ?? '').split(',')

/** Returns whether this run leaves out the tests that need a program, or a kind of store (test/mutation). */
export function isLeftOut(name: string): boolean {
  return WITHOUT.includes(name)
}

/** Returns the path of a program on the PATH. */
export function findProgram(name: string): string | undefined {
  if (isLeftOut(name)) return undefined
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
