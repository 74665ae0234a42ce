/** Reads a whole number of at least 1 from the command line. */
export function readCount(text: string, max: number): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= max) return count
  throw new Error(`${text}: expected a whole number from 1 to ${max}`)
}
