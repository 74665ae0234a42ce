import { formatKeyList } from '../config/key-list.ts'
import type { Configuration } from '../config/schema.ts'
import { createKeyring, fingerprintOf, type Key } from '../core/crypto/keyring.ts'
import { readInstances } from './instances.ts'
import { CommandError, type CommandIo } from './io.ts'
import { concealKey, openKeyFile, writeKeys } from './key-file.ts'

export interface PromoteOptions {
  readonly force?: true
}

/** Moves a key to the first place, so that it signs. Prints the edit instead if the file cannot be edited. */
export async function promoteKey(io: CommandIo, id: string | undefined, { force }: PromoteOptions): Promise<void> {
  const opened = openKeyFile(io)
  const { file, configuration, list } = opened
  const keyring = createKeyring(configuration.keys)
  const index = id === undefined ? findNewest(configuration.keys) : findNamed(keyring, id)
  const key = keyring[index]
  if (!key || index === 0) throw new CommandError(`${keyring[0]?.id} is already the first key`)
  if (key.notAfter <= io.clock()) throw new CommandError(`${key.id} has expired`)
  if (!force) await requireEverywhere(io, configuration, key)

  const obstacle = writeKeys(io, opened, list.moveFirst(index), putFirst(configuration.keys, index))
  if (obstacle === undefined) {
    io.stdout.write(`${key.id} is the first key of ${file}\n`)
  } else {
    io.stderr.write(`${file}: nothing was written: ${obstacle}. Replace its keys with:\n`)
    io.stdout.write(`${formatKeyList(putFirst(list.keys, index).map(concealKey))}\n`)
  }
  io.stdout.write(
    'next: kill -HUP every replica; from then on it signs. trimint keys list says when the others can go\n',
  )
}

function findNamed(keyring: readonly Key[], id: string): number {
  const named = keyring.filter((key) => key.id === id)
  // A key without an id is named after its place, and another key may have that name as its id.
  if (named.length > 1) throw new CommandError(`several keys are named ${id}; expected a unique id`)
  if (named.length === 0) {
    throw new CommandError(`no key is named ${id}; expected one of ${keyring.map((key) => key.id).join(', ')}`)
  }
  return keyring.findIndex((key) => key.id === id)
}

/** Returns the index of the newest key; of several, the last. */
function findNewest(keys: Configuration['keys']): number {
  const times = keys.map(({ created = Number.NEGATIVE_INFINITY }) => created)
  return times.lastIndexOf(Math.max(...times))
}

async function requireEverywhere(io: CommandIo, configuration: Configuration, key: Key): Promise<void> {
  const replicas = await readInstances(io, configuration)
  const force = '--force skips this check'
  if (!replicas) {
    throw new CommandError(
      `the store is in the memory of the server: this command cannot see which replicas have ${key.id}; ${force}`,
    )
  }
  const { instances } = replicas
  if (instances.size === 0)
    throw new CommandError(`no replica is running, so none is known to have ${key.id}; ${force}`)
  const lacking = replicas.lacking(fingerprintOf(key))
  if (lacking.size > 0) {
    throw new CommandError(
      `${key.id} is missing in ${lacking.size} of ${instances.size} running replicas, which would reject its tokens: ` +
        `${[...lacking].join(', ')}. Reload them first; ${force}`,
    )
  }
}

function putFirst<Entry>(entries: readonly Entry[], index: number): Entry[] {
  return [...entries.slice(index, index + 1), ...entries.slice(0, index), ...entries.slice(index + 1)]
}
