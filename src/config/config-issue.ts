import { distance } from 'fastest-levenshtein'
import type { z } from 'zod'

/** One thing that is wrong with a configuration; never holds a configured value. */
export interface ConfigIssue {
  /** The file, or `environment`. */
  readonly file: string
  readonly line?: number
  readonly column?: number
  /** Where in the configuration: `bws.apps[0].secret`. */
  readonly path: string
  /** What is wrong, and what is allowed. */
  readonly message: string
}

type Path = readonly PropertyKey[]

/** A fault whose place is still a path. */
interface Problem {
  readonly path: Path
  readonly message: string
}

/** `trimint.yaml:12:5 bws.apps[0].lifetime: is not valid; allowed: …` */
export function formatConfigIssue({ file, line, column, path, message }: ConfigIssue): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(':')
  return path ? `${place} ${path}: ${message}` : `${place}: ${message}`
}

export function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text ? `${text}.${String(part)}` : String(part)
  }, '')
}

/** Checks a value: what it is read into, or everything that is wrong with it, in words. */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): { readonly data: z.output<Schema> } | { readonly problems: Problem[] } {
  const result = schema.safeParse(value, { error: describeIssue })
  if (result.success) return { data: result.data }
  return { problems: result.error.issues.flatMap((issue) => toProblems(issue, [])) }
}

function toProblems(issue: z.core.$ZodIssue, parent: Path): Problem[] {
  const path = [...parent, ...issue.path]
  if (issue.code === 'invalid_union') {
    // A value that got inside one of the alternatives was meant to be that one: its faults say more than "none fits".
    const meant = issue.errors.find((errors) => errors.some((error) => error.path.length > 0 || isUnknownKey(error)))
    if (meant) return meant.flatMap((nested) => toProblems(nested, path))
  }
  if (isUnknownKey(issue)) {
    const messages = issue.message.split('\n')
    return issue.keys.map((key, index) => {
      const message = messages[index] ?? issue.message
      return { path: message === UNNAMED ? path : [...path, key], message }
    })
  }
  return [{ path, message: issue.message }]
}

function isUnknownKey(issue: z.core.$ZodIssue): issue is z.core.$ZodIssueUnrecognizedKeys {
  return issue.code === 'unrecognized_keys'
}

/** The words for what zod finds by itself; values of our own kinds (values.ts) bring theirs. */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  const wrong = issue.input === undefined ? 'is missing' : 'is not valid'
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => describeUnknownKey(key, issue.input, knownKeys(issue.inst))).join('\n')
    case 'invalid_type':
      return `${wrong}; allowed: ${KINDS[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `${wrong}; allowed: ${issue.values.join(', ')}`
    case 'invalid_union':
      return `${wrong}; allowed: false, or the settings of this section`
    case 'invalid_key':
      return 'has a name that is not valid; allowed: 1 to 256 characters, no control characters'
    case 'too_small':
      return `is too short; allowed: at least ${issue.minimum}`
    case 'too_big':
      return `is too long; allowed: at most ${issue.maximum}`
    default:
      return undefined
  }
}

const KINDS: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'settings, as "name: value" lines',
  record: 'settings, as "name: value" lines',
  string: 'text',
  int: 'a whole number',
  number: 'a number',
}

/** For a key that is not repeated: `secret: a,b` in braces makes `b` a key, and it may be half a secret. */
const UNNAMED = 'has a key without a value; allowed: quotes around a text that holds a comma'

function describeUnknownKey(key: string, value: unknown, known: readonly string[]): string {
  const near = known.filter((candidate) => distance(candidate.toLowerCase(), key.toLowerCase()) <= 2)
  const [closest] = near.sort((a, b) => distance(a, key) - distance(b, key))
  if (!closest && (value as Record<string, unknown> | undefined)?.[key] === null) return UNNAMED
  const suggestion = closest ? `, did you mean ${closest}?` : ''
  return `is not a known key${suggestion}; allowed: ${known.join(', ')}`
}

function knownKeys(schema: unknown): string[] {
  const shape = (schema as z.ZodObject | undefined)?._zod.def.shape
  return shape ? Object.keys(shape) : []
}
