/** Returns the time, in milliseconds since the Unix epoch unless the parameter says otherwise. */
export type Clock = () => number

/** Converts milliseconds into an RFC 7519 NumericDate: whole seconds, rounded down. */
export function numericDate(milliseconds: number): number {
  return Math.floor(milliseconds / 1000)
}
