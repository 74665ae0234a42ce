import { write } from 'node:fs'

const STANDARD_ERROR = 2

/**
 * Writes to standard error in the background, and ignores errors. `process.stderr` would block the whole process while the reader of
 * a pipe has stopped, and end it while the disk is full.
 */
export function tellOperator(text: string): void {
  write(STANDARD_ERROR, text, () => undefined)
}
