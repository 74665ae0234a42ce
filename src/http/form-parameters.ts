import { unescape as unescapePercent } from 'node:querystring'
import type { z } from 'zod'
import { Refusal } from './refusal.ts'

export interface ReadParameters {
  /** By lower-case name: every known name, and no other. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** Names given more than once (B5, I13). */
  readonly repeated: readonly string[]
}

export const NO_PARAMETERS: ReadParameters = { values: {}, repeated: [] }

/** Text without any of these needs no decoding. */
const ENCODED = /[%+\u0080-\uffff]/
const UPPER_CASE = /[A-Z]/

/** Reads `name=value` pairs separated by `&`, as in a query or a form. */
export type ParameterReader = (text: string) => ReadParameters

/**
 * Creates a reader of known parameters. Names match in any case; unknown names and names without `=` are ignored (B4,
 * I5). `+` is a space, and invalid percent-encoding is kept as it is (I4).
 *
 * @param names the known names, in lower case.
 */
export function createParameterReader(names: readonly string[]): ParameterReader {
  const known = new Set(names)
  // All results have the same keys, and so one hidden class in V8.
  const absent: ReadParameters['values'] = Object.fromEntries(names.map((name) => [name, undefined]))
  return (text) => {
    const values: Record<string, string | undefined> = { ...absent }
    const repeated: string[] = []
    const decode = ENCODED.test(text) ? decodeText : keep
    // Scans from `=` to `=`, so that every character is read once and pairs without `=` are skipped.
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

/** A zod schema, compiled or not. */
interface Parser<Output> {
  safeParse(values: unknown): z.ZodSafeParseResult<Output>
}

/**
 * Returns the parameters that a schema makes of what was read.
 *
 * @throws Refusal that names every invalid parameter and what is allowed (B5, B20, I13).
 */
export function parseParameters<Output>(
  schema: Parser<Output>,
  { values, repeated }: ReadParameters,
  details?: Refusal['details'],
): Output {
  const parsed = schema.safeParse(values)
  if (parsed.success && repeated.length === 0) return parsed.data
  const messages = new Map<string, string>()
  for (const { path, message } of parsed.error?.issues ?? []) {
    messages.set(String(path[0]), `${String(path[0])} must be ${message}.`)
  }
  for (const name of repeated) messages.set(name, `${name} must be given only once.`)
  const parameters = [...messages.keys()]
  throw new Refusal('bad_parameter', { ...details, parameters, message: [...messages.values()].join(' ') })
}

/** Folds ASCII letters only: `toLowerCase` alone would turn the Kelvin sign into `k`. */
function lowerCase(name: string): string {
  return UPPER_CASE.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name
}

function keep(text: string): string {
  return text
}

const BEYOND_ASCII = /[\u0080-\u{10ffff}]+/gu

function decodeText(text: string): string {
  // Encodes non-ASCII text first: after an invalid `%`, the decoder works on bytes and would cut characters.
  return unescapePercent(text.replaceAll('+', ' ').replace(BEYOND_ASCII, encodeURIComponent))
}
