import { unescape as unescapePercent } from 'node:querystring'

export interface ReadParameters {
  /** By lower-case name; null prototype, since the names come from outside. */
  readonly values: Readonly<Record<string, string>>
  /** Names that were given more than once (B5). */
  readonly repeated: readonly string[]
}

/**
 * Reads the parameters of a request target: names in any case and any order, strange ones ignored, a name without `=`
 * absent (B4). Broken percent-encoding stays as it is.
 */
export function readParameters(target: string, known: ReadonlySet<string>): ReadParameters {
  const values: Record<string, string> = Object.create(null)
  const repeated = new Set<string>()
  const start = target.indexOf('?')
  const query = start === -1 ? '' : target.slice(start + 1)
  for (const pair of query.split('&')) {
    const equals = pair.indexOf('=')
    if (equals === -1) continue
    const name = decode(pair.slice(0, equals)).toLowerCase()
    if (!known.has(name)) continue
    if (name in values) repeated.add(name)
    values[name] = decode(pair.slice(equals + 1))
  }
  return { values, repeated: [...repeated] }
}

function decode(text: string): string {
  return unescapePercent(text.replaceAll('+', ' '))
}
