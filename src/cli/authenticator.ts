import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { KeyRing } from '../development/authenticator/key.ts'
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

/** FIDO UAF application API and transport 1.1, section 3.3. */
const SUCCESS = 1200

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
    keyRing: await openKeyRing(file),
  })
  try {
    const { step, statusCode, authenticators } = await authenticator[action](token, { misbehave })
    if (statusCode !== SUCCESS)
      throw new CommandError(`${step === 'redeem' ? 'token' : 'answer'} refused: statusCode ${statusCode}`)
    for (const { aaid, keyId } of authenticators) io.stdout.write(`${DONE[action]}  ${aaid} ${keyId}\n`)
    if (authenticators.length === 0) io.stdout.write(`${DONE[action]}  no key of this authenticator\n`)
  } catch (error) {
    throw error instanceof AuthenticatorError ? new CommandError(error.message) : error
  }
}

/** Opens a key ring whose keys are in a file. A missing file has none. */
async function openKeyRing(file: string): Promise<KeyRing> {
  const { createKeyRing, uafKey } = await import('../development/authenticator/key.ts')
  const text = readIfThere(file)
  const { data } = z.array(uafKey).safeParse(text === undefined ? [] : parseJson(text))
  if (!data) throw new CommandError(`${file}: not a file of keys; expected one that this command has written`)
  const ring = createKeyRing(data)
  function save(): void {
    writeOrExplain(file, () => {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, `${JSON.stringify(ring.all(), undefined, 2)}\n`, { mode: 0o600 })
    })
  }
  return {
    all: ring.all,
    async put(key) {
      await ring.put(key)
      save()
    },
    async remove(keys) {
      await ring.remove(keys)
      save()
    },
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new CommandError(`${file} cannot be read (${code})`)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
