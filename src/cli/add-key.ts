import { formatKeyList } from '../config/key-list.ts'
import { type CommandIo, randomSecret } from './io.ts'
import { concealKey, type KeyFile, openKeyFile, writeKeys } from './key-file.ts'

/**
 * Adds a new key at the end of the list, where it verifies and does not sign. Prints the edit instead if the file
 * cannot be edited.
 */
export async function addKey(io: CommandIo): Promise<void> {
  const opened = openKeyFile(io)
  const { file, configuration, list } = opened
  const secret = randomSecret(io)
  const now = Math.floor(io.clock() / 1000) * 1000
  const created = new Date(now).toISOString().replace('.000Z', 'Z')
  const id = `${created.slice(0, 10)}-${Buffer.from(io.randomness.bytes(3)).toString('hex')}`
  const keys = [...configuration.keys, { secret: Buffer.from(secret, 'base64url'), id, created: now }]
  const obstacle = writeKeys(io, opened, list.append({ secret, id, created }), keys)
  if (obstacle === undefined) {
    io.stdout.write(`added ${id} to ${file}: it verifies, and signs nothing yet\n`)
    io.stdout.write(`next: kill -HUP every replica, then trimint keys promote ${id}\n`)
    return
  }
  const place = placeFor(secret, opened, io)
  io.stderr.write(`${file}: nothing was written: ${obstacle}. Replace its keys with:\n`)
  io.stdout.write(formatKeyList([...list.keys.map(concealKey), { secret: place.written, id, created }]))
  if (place.instruction) io.stdout.write(`\n${place.instruction}\n`)
  io.stdout.write(`\nnext: ${place.reload}, then trimint keys promote ${id}\n`)
}

/** Where a new key is kept: in the same kind of place as the last one. */
interface Place {
  /** What the configuration file contains: the key, or a reference to it. */
  readonly written: string
  /** What the operator has to do if the key is not in the file itself. */
  readonly instruction?: string
  /** How the operator makes the replicas load it. */
  readonly reload: string
}

function placeFor(secret: string, { list }: KeyFile, { variables }: CommandIo): Place {
  const taken = list.keys.map((key) => key.secret ?? '')
  const last = taken.at(-1) ?? ''
  const variable = /\$\{([^}]+)\}/.exec(last)?.[1]
  if (last.startsWith('file:')) {
    const written = nextName(last, '-', (name) => taken.includes(name))
    const path = written.slice('file:'.length)
    return { written, instruction: `write this key to ${path}:\n${secret}`, reload: 'kill -HUP every replica' }
  }
  if (variable !== undefined) {
    const isTaken = (name: string) =>
      variables[name] !== undefined || taken.some((text) => text.includes(`\${${name}}`))
    const name = nextName(variable, '_', isTaken)
    return {
      written: `\${${name}}`,
      instruction: `export ${name}=${secret}`,
      // The environment of a running process cannot be changed.
      reload: 'restart every replica, one after the other, with this variable (a reload does not read new variables)',
    }
  }
  return { written: secret, reload: 'kill -HUP every replica' }
}

/** Returns the first of NAME_2, NAME_3 … that is free. */
function nextName(name: string, separator: string, isTaken: (name: string) => boolean): string {
  const stem = name.replace(new RegExp(`${separator}[0-9]+$`), '')
  let number = 2
  while (isTaken(`${stem}${separator}${number}`)) number += 1
  return `${stem}${separator}${number}`
}
