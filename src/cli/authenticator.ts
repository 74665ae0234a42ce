import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Authenticator } from '../development/authenticator/authenticator.ts'
import type { Misbehaviour } from '../development/authenticator/misbehaviour.ts'
import { environmentOf } from './configuration.ts'
import { CommandError, type CommandIo, writeOrExplain } from './io.ts'
import { authorityOf } from './server-url.ts'

export interface AuthenticatorOptions {
  readonly token: string
  readonly url?: string
  readonly keys: string
  readonly misbehave?: Misbehaviour
}

/** The file that keeps keys between commands. */
export const DEFAULT_KEYS_FILE = 'data/authenticator.json'

const DONE = { register: 'registered', authenticate: 'authenticated', deregister: 'deregistered' } as const

/** Redeems a token as a phone does, and prints the keys that the answer used. */
export async function runAuthenticator(
  io: CommandIo,
  action: 'register' | 'authenticate' | 'deregister',
  { token, url, keys: file, misbehave }: AuthenticatorOptions,
): Promise<void> {
  const { createAuthenticator } = await import('../development/authenticator/authenticator.ts')
  const { AuthenticatorError } = await import('../development/authenticator/authenticator-error.ts')
  const authenticator = createAuthenticator({
    url: url ?? `http://${authorityOf(environmentOf(io))}`,
    randomness: io.randomness,
    keys: await readKeys(file),
  })
  try {
    const { step, statusCode, authenticators } = await authenticator[action](token, { misbehave })
    if (statusCode !== 1200)
      throw new CommandError(`${step === 'redeem' ? 'token' : 'answer'} refused: statusCode ${statusCode}`)
    for (const { aaid, keyId } of authenticators) io.stdout.write(`${DONE[action]}  ${aaid} ${keyId}\n`)
    if (authenticators.length === 0) io.stdout.write(`${DONE[action]}  no key of this authenticator\n`)
  } catch (error) {
    throw error instanceof AuthenticatorError ? new CommandError(error.message) : error
  } finally {
    // A refused answer counts too: the next one needs a greater counter.
    writeKeys(file, authenticator)
  }
}

async function readKeys(file: string) {
  const { uafKey } = await import('../development/authenticator/key.ts')
  const keys = z.array(uafKey)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    throw new CommandError(`${file} cannot be read (${code})`)
  }
  const { data } = keys.safeParse(parseJson(text))
  if (!data) throw new CommandError(`${file}: not a file of keys; expected one that this command has written`)
  return data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function writeKeys(file: string, { keys }: Authenticator): void {
  writeOrExplain(file, () => {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${JSON.stringify(keys, undefined, 2)}\n`, { mode: 0o600 })
  })
}
