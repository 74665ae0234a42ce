import { unescape as unescapePercent } from 'node:querystring'

export interface ReadParameters {
  /** By lower-case name; null prototype, since the names come from outside. */
  readonly values: Readonly<Record<string, string>>
  /** Names that were given more than once (B5, I13). */
  readonly repeated: readonly string[]
}

/**
 * Reads `name=value` pairs with `&` between, as in a query or a form: names in any case and any order, strange ones ignored, a
 * name without `=` absent (B4, I5). `+` is a blank, broken percent-encoding stays as it is (I4).
 */
export function readParameters(text: string, known: ReadonlySet<string>): ReadParameters {
  const values: Record<string, string> = Object.create(null)
  const repeated = new Set<string>()
  for (const pair of text.split('&')) {
    const equals = pair.indexOf('=')
    if (equals === -1) continue
    const name = decode(pair.slice(0, equals)).replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
    if (!known.has(name)) continue
    if (name in values) repeated.add(name)
    values[name] = decode(pair.slice(equals + 1))
  }
  return { values, repeated: [...repeated] }
}

const BEYOND_ASCII = /[\u0080-\u{10ffff}]+/gu

function decode(text: string): string {
  // Everything beyond ASCII first: where there is a stray %, the decoder goes by bytes, and would cut characters.
  return unescapePercent(text.replaceAll('+', ' ').replace(BEYOND_ASCII, encodeURIComponent))
}
