import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/** Returns the content of a file. @throws Error with a `code`. */
export type ReadFile = (path: string) => Uint8Array

export const readAnyFile: ReadFile = (path) => readFileSync(path)

/**
 * Reads no pipe and no device: the process would stop until somebody writes to it.
 *
 * @throws Error with a `code`.
 */
export const readRegularFile: ReadFile = (path) => {
  // Otherwise opening a pipe waits for a writer.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(file)
    if (stats.isFile() || stats.isDirectory()) return readFileSync(file)
    throw Object.assign(new Error(`${path} is not a regular file`), {
      code: 'a pipe or device, which only a start reads',
    })
  } finally {
    closeSync(file)
  }
}
