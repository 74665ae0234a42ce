/** The time, in milliseconds since the Unix epoch. */
export type Clock = () => number

/** RFC 7519 NumericDate: whole seconds since the Unix epoch. */
export function numericDate(milliseconds: number): number {
  return Math.floor(milliseconds / 1000)
}
