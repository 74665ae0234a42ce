import { readFileSync } from 'node:fs'
import { digestSecret } from '../core/crypto/secrets.ts'
import type { Randomness } from '../core/randomness.ts'
import { type ConfigIssue, check, formatPath } from './config-issue.ts'
import { DEMO_PASSWORD_HASH, DEMO_SECRET, isLoopback, loadDemoConfiguration } from './demo-config.ts'
import { type Environment, isProduction, type Variables } from './environment.ts'
import { type Configuration, type ConfigurationInput, configurationSchema, isInMemory } from './schema.ts'
import { readDocument } from './yaml-document.ts'

const DEFAULT_FILE = './trimint.yaml'
const DATA_FOLDER = './data'

export type LoadResult =
  | {
      readonly configuration: Configuration
      /** The file, or undefined for the built-in development configuration. */
      readonly file: string | undefined
      readonly warnings: readonly ConfigIssue[]
    }
  | { readonly issues: readonly ConfigIssue[] }

/**
 * Loads the configuration: the file that `TRIMINT_CONFIG` names, else `./trimint.yaml`, else, outside production, the
 * built-in development configuration. Never throws for what a user wrote; every fault comes in one go.
 *
 * @param now milliseconds since the epoch.
 * @param randomness makes the key of the development configuration where there is none yet; without it, nothing is written.
 */
export function loadConfiguration(
  environment: Environment,
  variables: Variables,
  now: number,
  randomness?: Randomness,
): LoadResult {
  const file = environment.TRIMINT_CONFIG ?? DEFAULT_FILE
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const absent = code === 'ENOENT' && environment.TRIMINT_CONFIG === undefined
    if (absent && !isProduction(environment)) return loadDevelopment(environment, randomness)
    const message = absent
      ? `no such file; in production write one, see trimint.example.yaml, or name it in TRIMINT_CONFIG`
      : `cannot be read (${code}); allowed: a readable configuration file`
    return { issues: [{ file, path: '', message }] }
  }
  return checkConfiguration(file, source, environment, variables, now)
}

function loadDevelopment(environment: Environment, randomness: Randomness | undefined): LoadResult {
  if (!isLoopback(environment.HOST)) {
    const message =
      'the built-in development configuration serves this machine only; allowed: 127.0.0.1, localhost, ::1, or a configuration file'
    return { issues: [{ file: 'environment', path: 'HOST', message }] }
  }
  try {
    const input = loadDemoConfiguration(environment, DATA_FOLDER, randomness)
    return { configuration: configurationSchema.parse(input), file: undefined, warnings: [] }
  } catch (error) {
    const { code = 'development.key is damaged, delete it' } = error as NodeJS.ErrnoException
    const message =
      code === 'ENOENT' && !randomness
        ? 'there is neither a configuration file nor, yet, the key of the demo (npm start makes it)'
        : `cannot keep the key of the demo (${code})`
    return { issues: [{ file: DATA_FOLDER, path: '', message }] }
  }
}

/**
 * Checks a configuration's text as a start would.
 *
 * @param file what faults call it.
 * @param now milliseconds since the epoch.
 */
export function checkConfiguration(
  file: string,
  source: string,
  environment: Environment,
  variables: Variables,
  now: number,
): LoadResult {
  const document = readDocument(source, variables)
  const faults: ConfigIssue[] = document.faults.map((fault) => ({ file, ...fault, path: formatPath(fault.path) }))
  const warnings: ConfigIssue[] = []
  const known = new Set(faults.map(({ path }) => path).filter(Boolean))
  const toFault = (path: readonly PropertyKey[], message: string): ConfigIssue => ({
    file,
    ...document.locate(path),
    path: formatPath(path),
    message,
  })

  for (const { path, message } of findUnsafeSecrets(document.value)) {
    const list = isProduction(environment) ? faults : warnings
    list.push(toFault(path, message))
  }
  const checked = document.value === undefined ? { problems: [] } : check(configurationSchema, document.value)
  if ('problems' in checked) {
    const problems = checked.problems.map(({ path, message }) => toFault(path, message))
    // What the text was found wrong about already is not said twice.
    faults.push(...problems.filter(({ path }) => !known.has(path)))
  } else if (checked.data.keys.every(({ notAfter }) => notAfter !== undefined && notAfter <= now)) {
    faults.push(toFault(['keys'], 'every key has expired; allowed: at least one whose notAfter lies ahead'))
  } else if (environment.WORKERS > 1 && isInMemory(checked.data)) {
    const message = 'each of several WORKERS would have a store of its own; allowed: sqlite:path, redis:// or rediss://'
    faults.push(toFault(['store'], message))
  }
  if (faults.length > 0 || 'problems' in checked) return { issues: faults.toSorted(byPlace) }
  return { configuration: checked.data, file, warnings }
}

/** Checks a configuration that is given as an object. Issues name the setting, since there is no file. */
export function parseConfiguration(
  input: ConfigurationInput,
  { now, production = false }: { now: number; production?: boolean | undefined },
): LoadResult {
  const file = 'configuration'
  const unsafe = findUnsafeSecrets(input).map(({ path, message }) => ({ file, path: formatPath(path), message }))
  const checked = check(configurationSchema, input)
  const issues: ConfigIssue[] = production ? [...unsafe] : []
  if ('problems' in checked) {
    return {
      issues: [...issues, ...checked.problems.map(({ path, message }) => ({ file, path: formatPath(path), message }))],
    }
  }
  if (checked.data.keys.every(({ notAfter }) => notAfter !== undefined && notAfter <= now)) {
    issues.push({
      file,
      path: 'keys',
      message: 'every key has expired; allowed: at least one whose notAfter lies ahead',
    })
  }
  if (issues.length > 0) return { issues }
  return { configuration: checked.data, file: undefined, warnings: unsafe }
}

function byPlace(a: ConfigIssue, b: ConfigIssue): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}

/** What docker-compose.yml signs with until TRIMINT_KEY is set. */
const EXAMPLE_KEY = 'bG9jYWwtZGV2ZWxvcG1lbnQtb25seS1kby1ub3QtdXNl'

/** Everyone can read these in this repository. */
const PUBLIC_SECRETS: ReadonlySet<string> = new Set([
  `sha256:${Buffer.from(digestSecret(DEMO_SECRET)).toString('hex')}`,
  DEMO_PASSWORD_HASH,
  EXAMPLE_KEY,
])

/** What is fine on a developer's machine and nowhere else, wherever in the configuration a secret stands. */
function findUnsafeSecrets(
  value: unknown,
  path: readonly PropertyKey[] = [],
): { path: readonly PropertyKey[]; message: string }[] {
  if (typeof value === 'object' && value !== null) {
    const entries = Array.isArray(value) ? value.entries() : Object.entries(value)
    return [...entries].flatMap(([key, nested]) => findUnsafeSecrets(nested, [...path, key]))
  }
  const key = path.at(-1)
  if (typeof value !== 'string' || (key !== 'secret' && key !== 'password')) return []
  const allowed = 'allowed in production: one of your own (npm run trimint -- new-key, hash-secret or hash-password)'
  if (value.startsWith('plain:')) return [{ path, message: `is written in plain; ${allowed}` }]
  const isPublic = PUBLIC_SECRETS.has(value) || PUBLIC_SECRETS.has(value.toLowerCase())
  return isPublic ? [{ path, message: `is the public example; ${allowed}` }] : []
}
