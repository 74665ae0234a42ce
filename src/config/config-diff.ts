import { isDeepStrictEqual } from 'node:util'
import type { Configuration } from './schema.ts'

type Named = Readonly<Record<string, unknown>>

/** Returns the paths at which two configurations differ, entries of a list by their names. Never returns values. */
export function findChangedPaths(before: Configuration, after: Configuration): string[] {
  return compare(before, after, '')
}

function compare(before: unknown, after: unknown, path: string): string[] {
  if (isDeepStrictEqual(before, after)) return []
  if (isRecord(before) && isRecord(after)) return compareFields(before, after, (key) => (path ? `${path}.${key}` : key))
  const [named, others] = [byName(before), byName(after)]
  if (!named || !others) return [path]
  const changed = compareFields(named, others, (name) => `${path}[${name}]`)
  // The order of a list may matter: the first key signs.
  return changed.length > 0 && isInOrder(named, others) ? changed : [path, ...changed]
}

/** Returns whether the entries that are in both have the same order. */
function isInOrder(before: Named, after: Named): boolean {
  const kept = Object.keys(before).filter((name) => name in after)
  return isDeepStrictEqual(
    kept,
    Object.keys(after).filter((name) => name in before),
  )
}

function compareFields(before: Named, after: Named, pathOf: (key: string) => string): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...keys].flatMap((key) => compare(before[key], after[key], pathOf(key)))
}

function isRecord(value: unknown): value is Named {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

/** Returns the entries of a list by name; undefined if it is not a list, or an entry has no name. */
function byName(value: unknown): Named | undefined {
  if (!Array.isArray(value)) return undefined
  const entries = value.map((entry: unknown): [unknown, unknown] => {
    const { id, username } = (isRecord(entry) ? entry : {}) as { id?: unknown; username?: unknown }
    return [id ?? username, entry]
  })
  return entries.every(([name]) => typeof name === 'string') ? Object.fromEntries(entries) : undefined
}
