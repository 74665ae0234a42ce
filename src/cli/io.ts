import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Variables } from '../config/environment.ts'
import type { Clock } from '../core/clock.ts'
import { MIN_KEY_BYTES } from '../core/crypto/keyring.ts'
import type { Randomness } from '../core/randomness.ts'

/** What a command may touch. */
export interface CommandIo {
  readonly stdin: Readable & { readonly isTTY?: boolean; setRawMode?(on: boolean): unknown }
  readonly stdout: Writable
  readonly stderr: Writable
  readonly variables: Variables
  readonly clock: Clock
  readonly randomness: Randomness
}

/** Ends a command with exit code 1 and these lines on standard error. */
export class CommandError extends Error {}

/** A secret that cannot be guessed, fit for a signing key: base64url. */
export function randomSecret({ randomness }: CommandIo): string {
  return Buffer.from(randomness.bytes(MIN_KEY_BYTES)).toString('base64url')
}

/** All of standard input without its last line break; asked for, and not shown, where a person types it. */
export async function readSecret({ stdin, stderr }: CommandIo, prompt: string): Promise<string> {
  if (!stdin.isTTY) return (await text(stdin)).replace(/\r?\n$/, '')
  stderr.write(`${prompt}: `)
  stdin.setRawMode?.(true)
  try {
    return await readTyped(stdin)
  } finally {
    stdin.setRawMode?.(false)
    stderr.write('\n')
  }
}

// What a terminal in raw mode sends for the keys that mean something.
const ENTER = ['\r', '\n']
const ABORT = ['\u0003', '\u0004']
const BACKSPACE = ['\b', '\u007f']

async function readTyped(stdin: CommandIo['stdin']): Promise<string> {
  let typed = ''
  for await (const chunk of stdin) {
    for (const character of String(chunk)) {
      if (ENTER.includes(character)) return typed
      if (ABORT.includes(character)) throw new CommandError('aborted')
      typed = BACKSPACE.includes(character) ? typed.slice(0, -1) : typed + character
    }
  }
  return typed
}
