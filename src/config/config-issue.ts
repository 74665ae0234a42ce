import { distance } from 'fastest-levenshtein'
import { z } from 'zod'

/** One issue of a configuration. Never holds a configured value. */
export interface ConfigIssue {
  /** The file, or `environment`. Undefined for a configuration that was given as an object. */
  readonly file?: string
  readonly line?: number
  readonly column?: number
  /** The setting: `bws.apps[0].secret`. */
  readonly path: string
  /** What failed, and what was expected. */
  readonly message: string
}

type Path = readonly PropertyKey[]

/** An issue whose place is still a path. */
interface SchemaIssue {
  readonly path: Path
  readonly message: string
}

/** Returns `trimint.yaml:12:5 bws.lifetime: invalid value; expected …`. */
export function formatConfigIssue({ file, line, column, path, message }: ConfigIssue): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(':')
  return `${[place, path].filter(Boolean).join(' ')}: ${message}`
}

/** Returns a path as text: `bws.apps[0].secret`. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text ? `${text}.${String(part)}` : String(part)
  }, '')
}

/** Returns what a schema makes of a value, or every issue of the value. */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): { readonly data: z.output<Schema> } | { readonly issues: SchemaIssue[] } {
  const result = schema.safeParse(value, { error: describeIssue })
  if (result.success) return { data: result.data }
  return { issues: result.error.issues.flatMap((issue) => flatten(issue, [])) }
}

function flatten(issue: z.core.$ZodIssue, parent: Path): SchemaIssue[] {
  const path = [...parent, ...issue.path]
  if (issue.code === 'invalid_union') {
    // An alternative that fails only inside the value is the intended one: its issues say more than "no alternative
    // matches".
    const intended = issue.errors.find((errors) => errors.some((error) => error.path.length > 0 || isUnknownKey(error)))
    if (intended) return intended.flatMap((nested) => flatten(nested, path))
  }
  if (isUnknownKey(issue)) {
    const messages = issue.message.split('\n')
    return issue.keys.map((key, index) => {
      const message = messages[index] ?? issue.message
      return { path: message === KEY_WITHOUT_VALUE ? path : [...path, key], message }
    })
  }
  return [{ path, message: issue.message }]
}

function isUnknownKey(issue: z.core.$ZodIssue): issue is z.core.$ZodIssueUnrecognizedKeys {
  return issue.code === 'unrecognized_keys'
}

/**
 * Returns the message for an issue that zod finds by itself. The schemas of value-schemas.ts have their own messages.
 */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  const failure = issue.input === undefined ? 'missing value' : 'invalid value'
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => describeUnknownKey(key, issue.input, knownKeys(issue.inst))).join('\n')
    case 'invalid_type':
      return `${failure}; expected ${TYPES[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `${failure}; expected ${issue.values.join(', ')}`
    case 'invalid_union':
      return `${failure}; expected false, or the settings of this section`
    case 'invalid_key':
      return 'invalid name; expected 1 to 256 characters, no control characters'
    case 'too_small':
      return `too short; expected at least ${issue.minimum}`
    case 'too_big':
      return `too long; expected at most ${issue.maximum}`
    default:
      return undefined
  }
}

const TYPES: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'settings, as "name: value" lines',
  record: 'settings, as "name: value" lines',
  string: 'text',
  int: 'a whole number',
  number: 'a number',
}

/** The key is not repeated: `{ secret: a,b }` makes `b` a key, and it may be half a secret. */
const KEY_WITHOUT_VALUE = 'key without a value; expected quotes around text that contains a comma'

function describeUnknownKey(key: string, value: unknown, known: readonly string[]): string {
  const near = known.filter((candidate) => distance(candidate.toLowerCase(), key.toLowerCase()) <= 2)
  const [closest] = near.sort((a, b) => distance(a, key) - distance(b, key))
  if (!closest && (value as Record<string, unknown> | undefined)?.[key] === null) return KEY_WITHOUT_VALUE
  const suggestion = closest ? `, did you mean ${closest}?` : ''
  return `unknown key${suggestion}; expected ${known.join(', ')}`
}

function knownKeys(schema: unknown): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
}
