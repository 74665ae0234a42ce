import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Environment } from '../config/environment.ts'
import { type KeyList, readKeyList, type WrittenKey } from '../config/key-list.ts'
import { checkConfiguration } from '../config/load.ts'
import type { Configuration } from '../config/schema.ts'
import { environmentOf, formatFaults, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'
import { replaceFile } from './replace-file.ts'

/** The file that a server with this environment reads its keys from. */
export interface KeyFile {
  readonly file: string
  readonly source: string
  readonly environment: Environment
  readonly configuration: Configuration
  readonly list: KeyList
}

export function openKeyFile(io: CommandIo): KeyFile {
  const environment = environmentOf(io)
  const loaded = loadAsServer(io, environment)
  if ('issues' in loaded) throw new CommandError(formatFaults(loaded.issues))
  const { file, configuration } = loaded
  if (file === undefined) {
    throw new CommandError(
      'there is no configuration file, and the built-in demo has one key for ever; write one: cp trimint.example.yaml trimint.yaml',
    )
  }
  const source = readFileSync(file, 'utf8')
  return { file, source, environment, configuration, list: readKeyList(source) }
}

/** A key as the file has it holds a `${NAME}`, or a `file:` in place of itself. */
function isElsewhere({ secret = '' }: WrittenKey): boolean {
  return secret.startsWith('file:') || secret.includes('${')
}

/**
 * Writes a file with other keys, and nothing else that is different.
 *
 * @param text the whole file as it has to be, where that is known.
 * @param keys what a start has to read from it.
 * @returns why nothing was written, or undefined.
 */
export function writeKeys(
  io: CommandIo,
  { file, source, environment, configuration, list }: KeyFile,
  text: string | undefined,
  keys: Configuration['keys'],
): string | undefined {
  if (list.keys.some(isElsewhere)) return 'the keys come from the environment or from files of their own'
  const checked = text === undefined ? undefined : checkConfiguration(file, text, environment, io.variables, io.clock())
  const isRight =
    checked && 'configuration' in checked && isDeepStrictEqual(checked.configuration, { ...configuration, keys })
  if (text === undefined || !isRight) return 'its list of keys is written in a way that this command cannot edit'
  if (readFileSync(file, 'utf8') !== source) throw new CommandError(`${file} has been changed meanwhile; try again`)
  const error = replaceFile(file, text, io.randomness)
  return error && `it cannot be written (${error})`
}

/** What to say of a key in the file when it is shown: never the key itself. */
export function concealKey(key: WrittenKey): WrittenKey {
  return isElsewhere(key) ? key : { ...key, secret: '(as it stands in the file)' }
}
