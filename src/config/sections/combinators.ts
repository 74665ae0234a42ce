import { z } from 'zod'
import { expected } from '../value-schemas.ts'

/** Runs a check even if other parts are invalid, so that one run finds every issue. */
export const always = { when: () => true }

export type Fields = Readonly<Record<string, unknown>>

/** Returns a schema for a list in which no two entries have the same value in `field`. */
export function uniqueList<Entry extends z.ZodType>(
  entry: Entry,
  field: string,
  fold = (value: unknown): unknown => value,
) {
  return z.array(entry, expected('a list')).superRefine((entries, context) => {
    if (!Array.isArray(entries)) return
    const seen = new Set<unknown>()
    for (const [index, candidate] of entries.entries()) {
      const value = fold((candidate as Fields | null)?.[field])
      if (value !== undefined && seen.has(value)) {
        context.addIssue({ code: 'custom', path: [index, field], message: 'duplicate value; expected a unique one' })
      }
      seen.add(value)
    }
  }, always)
}

/** Returns a schema for one of several words. */
export function oneOf<const Values extends readonly [string, ...string[]]>(...values: Values) {
  const allowed = `one of ${values.join(', ')}`
  return z.enum(values, expected(allowed)).meta({ type: allowed })
}

/** Returns a schema for a list of values, with its name for the documentation. */
export function listOf<Entry extends z.ZodType>(entry: Entry, type: string) {
  return z.array(entry, expected(type)).meta({ type })
}

/** Returns a schema for a contract's section: `false`, or no section, switches the contract off. */
export function switchable<Section extends z.ZodType>(section: Section) {
  return z.union([z.literal(false), section]).default(false)
}

/** Returns a schema for `*` or a list of entries. */
export function wildcardOr<Entry extends z.ZodType>(entry: Entry, allowed: string) {
  return z.union([z.literal('*'), z.array(entry)], expected(allowed)).meta({ type: allowed })
}
