/** Deeper JSON overflows the stack of what validates, merges or writes it. */
export const MAX_JSON_DEPTH = 100

/** Tells whether a JSON value has at most {@link MAX_JSON_DEPTH} levels. */
export function isShallow(value: unknown, allowed = MAX_JSON_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return true
  return allowed > 0 && Object.values(value).every((inner) => isShallow(inner, allowed - 1))
}
