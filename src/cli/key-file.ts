import { isDeepStrictEqual } from 'node:util'
import type { Environment } from '../config/environment.ts'
import { type KeyList, readKeyList, type WrittenKey } from '../config/key-list.ts'
import { checkConfiguration } from '../config/load.ts'
import type { Configuration } from '../config/schema.ts'
import { environmentOf, formatIssues, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'
import { replaceFile } from './replace-file.ts'

/** The configuration file from which a server with this environment reads its keys. */
export interface KeyFile {
  readonly file: string
  readonly source: string
  readonly environment: Environment
  readonly configuration: Configuration
  readonly list: KeyList
}

/** Opens the configuration file. Throws a CommandError if it has issues, or if there is none. */
export function openKeyFile(io: CommandIo): KeyFile {
  const environment = environmentOf(io)
  const loaded = loadAsServer(io, environment)
  if ('issues' in loaded) throw new CommandError(formatIssues(loaded.issues))
  const { file, source, configuration } = loaded
  if (file === undefined || source === undefined) {
    throw new CommandError(
      'no configuration file, and the key of the built-in demo cannot be replaced; write one: cp trimint.example.yaml trimint.yaml',
    )
  }
  return { file, source, environment, configuration, list: readKeyList(source) }
}

/** Returns whether the configuration file only refers to a key, by `${NAME}` or `file:`. */
function isElsewhere({ secret = '' }: WrittenKey): boolean {
  return secret.startsWith('file:') || secret.includes('${')
}

/**
 * Replaces the keys in the configuration file and changes nothing else.
 *
 * @param text the new file; undefined if it could not be edited.
 * @param keys the keys that a start must read from it.
 * @returns why nothing was written, or undefined.
 */
export function writeKeys(
  io: CommandIo,
  { file, source, environment, configuration, list }: KeyFile,
  text: string | undefined,
  keys: Configuration['keys'],
): string | undefined {
  if (list.keys.some(isElsewhere)) return 'the keys come from the environment or from separate files'
  const checked = text === undefined ? undefined : checkConfiguration(file, text, environment, io.variables, io.clock())
  const isRight =
    checked && 'configuration' in checked && isDeepStrictEqual(checked.configuration, { ...configuration, keys })
  if (text === undefined || !isRight) return 'this command cannot edit its list of keys as it is written'
  const obstacle = replaceFile(file, source, text)
  switch (obstacle?.reason) {
    case 'changed':
      throw new CommandError(`${file} was changed at the same time; nothing was written, try again`)
    case 'busy':
      throw new CommandError(
        `another command is writing ${file}; nothing was written, try again (if none is running, delete ${obstacle.temporary})`,
      )
    case 'unwritable':
      return `it cannot be written (${obstacle.code})`
    default:
      return undefined
  }
}

/** Returns a key for display, without its secret. */
export function concealKey(key: WrittenKey): WrittenKey {
  return isElsewhere(key) ? key : { ...key, secret: '(unchanged)' }
}
