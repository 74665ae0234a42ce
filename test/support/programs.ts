import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * Whether a program is on the PATH, for `test.skipIf`. With CI=true a missing one is a failure: there, .ci/run installs
 * what is missing.
 */
export function hasProgram(name: string): boolean {
  const found = findProgram(name) !== undefined
  if (!found && process.env.CI === 'true') throw new Error(`${name} is missing, and CI skips nothing`)
  if (!found) process.stderr.write(`skipped: tests that need ${name}, which is not installed\n`)
  return found
}

/** Programs that this run does as if there were none (test/mutation). */
const WITHOUT = (process.env.TRIMINT_TEST_WITHOUT ?? '').split(',')

/** Where a program is on the PATH. */
export function findProgram(name: string): string | undefined {
  if (WITHOUT.includes(name)) return undefined
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
