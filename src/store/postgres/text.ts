/** Returns text as JSON, which PostgreSQL stores whatever it contains: its own type refuses NUL and lone surrogates. */
export function encode(text: string): string {
  return JSON.stringify(text)
}

/** Returns the text of a column that {@link encode} made. */
export function decode(column: unknown): string {
  return JSON.parse(String(column)) as string
}
