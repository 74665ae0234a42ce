import type { z } from 'zod'
import { Refusal } from './refusal.ts'

export interface ReadParameters {
  /** By lower-case name: every known name, and no other. The first value; undefined where it is absent or malformed. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** Names given more than once (B5, I13). */
  readonly repeated: readonly string[]
  /** Names whose value is not UTF-8 (B4, I4). */
  readonly malformed: readonly string[]
}

export const NO_PARAMETERS: ReadParameters = { values: {}, repeated: [], malformed: [] }

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
    const malformed: string[] = []
    const isEncoded = ENCODED.test(text)
    // Scans from `=` to `=`, so that every character is read once and pairs without `=` are skipped.
    let equals = text.indexOf('=')
    while (equals !== -1) {
      const ampersand = text.indexOf('&', equals)
      const end = ampersand === -1 ? text.length : ampersand
      const written = text.slice(text.lastIndexOf('&', equals) + 1, equals)
      const name = lowerCase(isEncoded ? decodeName(written) : written)
      if (known.has(name)) {
        const isRepeated = values[name] !== undefined || malformed.includes(name)
        if (!isRepeated) {
          const value = text.slice(equals + 1, end)
          values[name] = isEncoded ? decodeText(value) : value
          if (values[name] === undefined) malformed.push(name)
        } else if (!repeated.includes(name)) repeated.push(name)
      }
      equals = text.indexOf('=', end)
    }
    return { values, repeated, malformed }
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
  read: ReadParameters,
  details?: Refusal['details'],
): Output {
  const parsed = schema.safeParse(read.values)
  if (parsed.success && read.repeated.length === 0 && read.malformed.length === 0) return parsed.data
  const messages = new Map<string, string>()
  for (const { path, message } of parsed.error?.issues ?? []) {
    messages.set(String(path[0]), `${String(path[0])} must be ${message}.`)
  }
  throw refuseParameters(new Map([...messages, ...unreadableParameters(read)]), details)
}

/** Throws the refusal of parameters that are repeated or malformed, whatever the others are. */
export function requireReadable(read: ReadParameters): void {
  const unreadable = unreadableParameters(read)
  if (unreadable.size > 0) throw refuseParameters(unreadable)
}

/** Returns what is wrong with parameters that have no single value, by name. */
function unreadableParameters({ repeated, malformed }: ReadParameters): ReadonlyMap<string, string> {
  return new Map([
    ...repeated.map((name) => [name, `${name} must be given only once.`] as const),
    ...malformed.map((name) => [name, `${name} must be valid UTF-8.`] as const),
  ])
}

function refuseParameters(messages: ReadonlyMap<string, string>, details?: Refusal['details']): Refusal {
  const [parameters, message] = [[...messages.keys()], [...messages.values()].join(' ')]
  return new Refusal('bad_parameter', { ...details, parameters, message, explain: () => message })
}

/** Folds ASCII letters only: `toLowerCase` alone would turn the Kelvin sign into `k`. */
function lowerCase(name: string): string {
  return UPPER_CASE.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name
}

const ENCODED_ASCII = /%([0-7][0-9A-Fa-f])/g

/** Decodes ASCII only, which cannot fail: each of thousands of exceptions would cost microseconds. Known names are ASCII. */
function decodeName(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(ENCODED_ASCII, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

const BEYOND_ASCII = /[\u0080-\u{10ffff}]+/gu
const STRAY_PERCENT = /%(?![0-9A-Fa-f]{2})/g
const REPLACEMENT_CHARACTER = '\ufffd'

/**
 * Returns undefined for text that is not UTF-8: replacement characters could make two passwords equal.
 *
 * A body is read as text before, so a replacement character that is not percent-encoded marks bytes that were invalid.
 */
function decodeText(text: string): string | undefined {
  if (text.includes(REPLACEMENT_CHARACTER)) return undefined
  try {
    return decodeURIComponent(
      text.replaceAll('+', ' ').replace(STRAY_PERCENT, '%25').replace(BEYOND_ASCII, encodeURIComponent),
    )
  } catch {
    return undefined
  }
}
