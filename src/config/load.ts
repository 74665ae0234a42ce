import { dirname } from 'node:path'
import type { Randomness } from '../core/randomness.ts'
import { type ConfigIssue, check, formatPath } from './config-issue.ts'
import { createDemoConfiguration } from './demo-config.ts'
import { readDemoKey } from './demo-key.ts'
import { type Environment, isProduction, type Variables } from './environment.ts'
import { type FileVersions, readFileVersion } from './file-version.ts'
import { checkValidity } from './pem.ts'
import { findUnsafeSecrets } from './production-secrets.ts'
import { type ReadFile, readAnyFile, readRegularFile } from './read-file.ts'
import {
  type Configuration,
  type ConfigurationInput,
  configurationSchema,
  isInMemory,
  type NevisfidoConfiguration,
} from './schema.ts'
import { findStandInIssues, resolveFixtures } from './stand-ins.ts'
import { storeFileIssue } from './store-file.ts'
import { resolveStoreUrl } from './store-url.ts'
import { decodeUtf8 } from './utf8.ts'
import { readDocument } from './yaml-document.ts'

const DEFAULT_FILE = './trimint.yaml'
const DATA_FOLDER = './data'

export type LoadResult =
  | {
      readonly configuration: Configuration
      /** The configuration as it was written, variables and files replaced. */
      readonly input: ConfigurationInput
      /** The file; undefined for an object and for the built-in demo. */
      readonly file: string | undefined
      /** The text of the file, as it was checked. */
      readonly source?: string
      readonly warnings: readonly ConfigIssue[]
      readonly files?: FileVersions
    }
  | { readonly issues: readonly ConfigIssue[]; readonly files?: FileVersions }

/**
 * Loads the configuration: the file that `TRIMINT_CONFIG` names, else `./trimint.yaml`, else, outside production, the
 * built-in demo. Returns every issue at once instead of throwing.
 *
 * @param now milliseconds since the epoch.
 * @param randomness creates the key of the demo if there is none; without it, nothing is written.
 */
export function loadConfiguration(
  environment: Environment,
  variables: Variables,
  now: number,
  randomness?: Randomness,
  readFile: ReadFile = readAnyFile,
): LoadResult {
  const file = environment.TRIMINT_CONFIG ?? DEFAULT_FILE
  const version = readFileVersion(file)
  const loaded = loadFile(file, environment, variables, now, randomness, readFile)
  return { ...loaded, files: new Map([[file, version], ...(loaded.files ?? [])]) }
}

/**
 * Creates a loader for a process that serves. It reads pipes and devices the first time only: a reload must not wait for
 * them, since no request is answered meanwhile.
 *
 * @see loadConfiguration
 */
export function createConfigurationLoader(environment: Environment, variables: Variables, randomness?: Randomness) {
  let readFile = readAnyFile
  return (now: number): LoadResult => {
    const loaded = loadConfiguration(environment, variables, now, randomness, readFile)
    readFile = readRegularFile
    return loaded
  }
}

function loadFile(
  file: string,
  environment: Environment,
  variables: Variables,
  now: number,
  randomness: Randomness | undefined,
  readFile: ReadFile,
): LoadResult {
  let bytes: Uint8Array
  try {
    bytes = readFile(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const isAbsent = code === 'ENOENT' && environment.TRIMINT_CONFIG === undefined
    if (isAbsent && !isProduction(environment)) return loadDemo(environment, randomness)
    const message = isAbsent
      ? 'no such file; expected a configuration file in production: see trimint.example.yaml, or set TRIMINT_CONFIG'
      : `unreadable file (${code}); expected a readable configuration file`
    return { issues: [{ file, path: '', message }] }
  }
  const content = decodeUtf8(bytes)
  if ('text' in content) return checkConfiguration(file, content.text, environment, variables, now, readFile)
  return {
    issues: [
      { file, line: content.invalidLine, column: 1, path: '', message: 'invalid UTF-8; expected text in UTF-8' },
    ],
  }
}

function loadDemo(environment: Environment, randomness: Randomness | undefined): LoadResult {
  if (!LOOPBACK_HOSTS.includes(environment.HOST)) {
    const message =
      'the built-in demo serves this machine only; expected 127.0.0.1, localhost, ::1, or a configuration file'
    return { issues: [{ file: 'environment', path: 'HOST', message }] }
  }
  try {
    const input = createDemoConfiguration({
      publicUrl: demoUrl(environment),
      key: readDemoKey(DATA_FOLDER, randomness),
    })
    return { configuration: configurationSchema.parse(input), input, file: undefined, warnings: [] }
  } catch (error) {
    const { code = 'development.key is damaged: delete it' } = error as NodeJS.ErrnoException
    const message =
      code === 'ENOENT' && !randomness
        ? 'no configuration file and no key of the demo; expected one of them (npm start makes the key)'
        : `unusable key of the demo (${code}); expected a folder in which Trimint can keep it`
    return { issues: [{ file: DATA_FOLDER, path: '', message }] }
  }
}

/** The credentials of the demo are public, so only this machine may reach it. */
const LOOPBACK_HOSTS = ['127.0.0.1', 'localhost', '::1']

function demoUrl({ HOST, PORT }: Environment): string {
  const host = HOST.includes(':') ? `[${HOST}]` : HOST
  return `http://${host}:${PORT || 8080}`
}

/**
 * Checks the text of a configuration as a start would.
 *
 * @param file path of the file: relative paths in the configuration are relative to it.
 * @param now milliseconds since the epoch.
 */
export function checkConfiguration(
  file: string,
  source: string,
  environment: Environment,
  variables: Variables,
  now: number,
  readFile: ReadFile = readAnyFile,
): LoadResult {
  const folder = dirname(file)
  const document = readDocument(source, folder, variables, readFile)
  const issues: ConfigIssue[] = document.issues.map((issue) => ({ file, ...issue, path: formatPath(issue.path) }))
  const known = new Set(issues.map(({ path }) => path).filter(Boolean))
  const findings = document.value === undefined ? NO_FINDINGS : examine(document.value, folder, environment, now)

  const toIssue = ({ path, message }: Finding): ConfigIssue => ({
    file,
    ...document.locate(path),
    path: formatPath(path),
    message,
  })
  // An issue of the text at the same place is the cause.
  issues.push(...findings.issues.map(toIssue).filter(({ path }) => !known.has(path)))
  const { configuration } = findings
  const { files } = document
  if (issues.length > 0 || !configuration) return { issues: issues.toSorted(byPlace), files }
  const input = document.value as ConfigurationInput
  return { configuration, input, file, source, warnings: findings.warnings.map(toIssue), files }
}

function byPlace(a: ConfigIssue, b: ConfigIssue): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}

interface ParseOptions {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Whether demo secrets and `plain:` secrets are issues instead of warnings; false by default. */
  readonly production?: boolean | undefined
}

/**
 * Checks a configuration that is given as an object. Neither `${NAME}` nor `file:` is replaced, and a relative path is
 * relative to the current directory. Issues have a path, but no file.
 */
export function parseConfiguration(input: ConfigurationInput, { now, production = false }: ParseOptions): LoadResult {
  const environment = { NODE_ENV: production ? 'production' : 'development', WORKERS: 1 } as const
  const { configuration, issues, warnings } = examine(input, undefined, environment, now)
  const toIssue = ({ path, message }: Finding): ConfigIssue => ({ path: formatPath(path), message })
  if (issues.length > 0 || !configuration) return { issues: issues.map(toIssue) }
  return { configuration, input, file: undefined, warnings: warnings.map(toIssue) }
}

interface Finding {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

interface Findings {
  /** Undefined if the schema found issues. */
  readonly configuration?: Configuration
  readonly issues: readonly Finding[]
  readonly warnings: readonly Finding[]
}

const NO_FINDINGS: Findings = { issues: [], warnings: [] }

/**
 * Applies the schema, and the checks that need more than the schema: time, production, workers, and the store's file.
 *
 * @param folder what a relative path is relative to; without it, the current directory.
 */
function examine(
  value: unknown,
  folder: string | undefined,
  { NODE_ENV, WORKERS }: Pick<Environment, 'NODE_ENV' | 'WORKERS'>,
  now: number,
): Findings {
  const unsafe = findUnsafeSecrets(value)
  const [issues, warnings]: [Finding[], Finding[]] = NODE_ENV === 'production' ? [unsafe, []] : [[], unsafe]
  const checked = check(configurationSchema, value)
  if ('issues' in checked) return { issues: [...issues, ...checked.issues], warnings }
  const { store, idscan } = checked.data
  const configuration = {
    ...checked.data,
    idscan: folder === undefined ? idscan : resolveFixtures(idscan, folder),
    nevisfido: withAttestation(checked.data.nevisfido, NODE_ENV === 'production'),
    store: folder === undefined ? store : resolveStoreUrl(store, folder),
  }

  if (configuration.keys.every(({ notAfter }) => notAfter !== undefined && notAfter <= now)) {
    issues.push({
      path: ['keys'],
      message: 'every key has expired; expected at least one whose notAfter is in the future',
    })
  }
  if (configuration.control && NODE_ENV === 'production') {
    issues.push({ path: ['control'], message: 'control API in production; expected false, or no control' })
  }
  issues.push(...findStandInIssues(configuration, NODE_ENV === 'production'))
  if (WORKERS > 1 && isInMemory(configuration)) {
    const message =
      'store in memory with several WORKERS; expected a store that they share: a file, Redis or PostgreSQL'
    issues.push({ path: ['store'], message })
  }
  const storeIssue = storeFileIssue(configuration.store)
  if (storeIssue) issues.push({ path: ['store'], message: storeIssue })
  if (configuration.nevisfido && requiresMissingMetadata(configuration.nevisfido)) {
    const message =
      'basic attestation without metadata; expected metadata statements of the authenticators: every registration is rejected'
    warnings.push({ path: ['nevisfido', 'attestation'], message })
  }
  const certificateWarning = configuration.tls && checkValidity(configuration.tls.cert, now)
  if (certificateWarning) warnings.push({ path: ['tls', 'cert'], message: certificateWarning })
  return { configuration, issues, warnings }
}

/** Fills in the default of `attestation`, which production decides. */
function withAttestation(nevisfido: Configuration['nevisfido'], production: boolean): Configuration['nevisfido'] {
  return nevisfido && { ...nevisfido, attestation: nevisfido.attestation ?? (production ? 'basic' : 'surrogate') }
}

function requiresMissingMetadata({ attestation, metadata }: NevisfidoConfiguration): boolean {
  return attestation === 'basic' && metadata.length === 0
}
