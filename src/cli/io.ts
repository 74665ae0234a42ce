import type { Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { Variables } from '../config/environment.ts'
import { decodeUtf8 } from '../config/utf8.ts'
import type { Clock } from '../core/clock.ts'
import { MIN_KEY_BYTES } from '../core/crypto/keyring.ts'
import type { Randomness } from '../core/randomness.ts'
import type { ServeVariables } from './serve-options.ts'

/** Everything that a command may use: input, output, variables, time and randomness. */
export interface CommandIo {
  readonly stdin: Readable & { readonly isTTY?: boolean; setRawMode?(on: boolean): unknown }
  readonly stdout: Writable
  readonly stderr: Writable
  readonly variables: Variables
  readonly clock: Clock
  readonly randomness: Randomness
  /** Serves in this process. */
  readonly serve: (variables: ServeVariables) => Promise<void>
}

/** Ends a command with exit code 1 and its message on standard error. */
export class CommandError extends Error {}

/** Runs a function that writes a file. @throws CommandError with the system's error code where it cannot be written. */
export function writeOrExplain(file: string, write: () => void): void {
  try {
    write()
  } catch (error) {
    throw new CommandError(`${file} cannot be written (${(error as NodeJS.ErrnoException).code})`)
  }
}

/** Returns text with escapes for control characters: a terminal acts on those that a client put into a name. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Returns a random secret in base64url, long enough for a signing key. */
export function randomSecret({ randomness }: CommandIo): string {
  return Buffer.from(randomness.bytes(MIN_KEY_BYTES)).toString('base64url')
}

/**
 * Returns all of standard input without its last line break. Asks for it, without showing it, on a terminal.
 *
 * @throws CommandError if the input is not UTF-8: replacement characters would become part of a password.
 */
export async function readSecret({ stdin, stderr }: CommandIo, prompt: string): Promise<string> {
  if (!stdin.isTTY) return decode(await buffer(stdin)).replace(/\r?\n$/, '')
  stderr.write(`${prompt}: `)
  stdin.setRawMode?.(true)
  try {
    return await readTyped(stdin)
  } finally {
    stdin.setRawMode?.(false)
    stderr.write('\n')
  }
}

function decode(bytes: Uint8Array): string {
  const content = decodeUtf8(bytes)
  if ('text' in content) return content.text
  throw new CommandError(`invalid UTF-8 in line ${content.invalidLine} of standard input; expected text in UTF-8`)
}

// Bytes that a terminal in raw mode sends for special keys. No byte of a longer UTF-8 sequence is one of them.
const ENTER = [0x0a, 0x0d]
const ABORT = [0x03, 0x04]
const BACKSPACE = [0x08, 0x7f]

async function readTyped(stdin: CommandIo['stdin']): Promise<string> {
  const typed: number[] = []
  for await (const chunk of stdin) {
    for (const byte of Buffer.from(chunk as Uint8Array)) {
      if (ENTER.includes(byte)) return decode(Uint8Array.from(typed))
      if (ABORT.includes(byte)) throw new CommandError('aborted')
      if (BACKSPACE.includes(byte)) removeCharacter(typed)
      else typed.push(byte)
    }
  }
  return decode(Uint8Array.from(typed))
}

/** Removes the bytes of the last character: continuation bytes (10xxxxxx) up to the byte that starts it. */
function removeCharacter(typed: number[]): void {
  let byte = typed.pop()
  while (byte !== undefined && (byte & 0xc0) === 0x80) byte = typed.pop()
}
