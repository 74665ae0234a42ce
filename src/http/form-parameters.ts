import { unescape as unescapePercent } from 'node:querystring'

export interface ReadParameters {
  /** By lower-case name: every name that is known, and no other. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** Names that were given more than once (B5, I13). */
  readonly repeated: readonly string[]
}

/** What stands for something else: everything but this is taken as it is. */
const ENCODED = /[%+\u0080-\uffff]/
const UPPER_CASE = /[A-Z]/

/** Reads `name=value` pairs with `&` between, as in a query or a form. */
export type ParameterReader = (text: string) => ReadParameters

/**
 * Names in any case and any order, strange ones ignored, a name without `=` absent (B4, I5). `+` is a blank, broken percent-encoding
 * stays as it is (I4).
 *
 * @param names in lower case: those that are known.
 */
export function createParameterReader(names: readonly string[]): ParameterReader {
  const known = new Set(names)
  // Every reading has the same shape, whatever was given, so that looking into it is quick.
  const nothing: ReadParameters['values'] = Object.fromEntries(names.map((name) => [name, undefined]))
  return (text) => {
    const values: Record<string, string | undefined> = { ...nothing }
    const repeated: string[] = []
    const decode = ENCODED.test(text) ? decodeText : asItIs
    // From one sign of equality to the next: what has none is skipped, and no character is looked at twice.
    let equals = text.indexOf('=')
    while (equals !== -1) {
      const ampersand = text.indexOf('&', equals)
      const end = ampersand === -1 ? text.length : ampersand
      const name = lowerCase(decode(text.slice(text.lastIndexOf('&', equals) + 1, equals)))
      if (known.has(name)) {
        if (values[name] !== undefined && !repeated.includes(name)) repeated.push(name)
        values[name] = decode(text.slice(equals + 1, end))
      }
      equals = text.indexOf('=', end)
    }
    return { values, repeated }
  }
}

/** Of ASCII letters alone: no other letter becomes one of a name. */
function lowerCase(name: string): string {
  return UPPER_CASE.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name
}

function asItIs(text: string): string {
  return text
}

const BEYOND_ASCII = /[\u0080-\u{10ffff}]+/gu

function decodeText(text: string): string {
  // Everything beyond ASCII first: where there is a stray %, the decoder goes by bytes, and would cut characters.
  return unescapePercent(text.replaceAll('+', ' ').replace(BEYOND_ASCII, encodeURIComponent))
}
