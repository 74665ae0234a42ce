// Trimint as an operator runs it in production (docs/operations.md): everything on that is on by default.

import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hash } from '@node-rs/argon2'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { type MeasuredProcess, type ProcessOptions, startNode } from '../process.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** The program of the package, which `npm run build` builds. */
export const PACKAGE_WORDS = [join(ROOT, 'bin/trimint.cjs')]

/** The words of `npm start` after `node`. */
const START_WORDS = ['--require', join(ROOT, 'src/preload.cjs'), join(ROOT, 'src/main.ts')]

const START_TIMEOUT_MS = 60_000

/** The recommended parameters of argon2id, as in src/core/crypto/passwords.ts. */
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

export const ACCOUNT = { username: 'anna', password: 'right-password' }

const makeSecret = (): string => randomBytes(32).toString('base64url')
const digest = (secret: string): string => `sha256:${createHash('sha256').update(secret).digest('hex')}`

/** The secrets of the callers; the configuration contains only their digests. */
export const SECRETS = { app: makeSecret(), client: makeSecret(), resourceServer: makeSecret() }

export const APP = { id: 'shop', client: 'Shop', secret: digest(SECRETS.app), bcids: ['bws/112'] }

export const createAccount = async () => ({
  username: ACCOUNT.username,
  password: await hash(ACCOUNT.password, ARGON2),
  fullName: 'Anna Example',
  role: 'SuperAdministrator',
  areas: ['scanning' as const, 'investigation' as const],
  memberOf: ['Users'],
  tenant: 'Example',
})

export const NEVISFIDO = {
  appId: 'https://fido.example.com/nevisfido/uaf/1.1/facets',
  clients: [{ id: 'backend', secret: digest(SECRETS.client), users: '*' as const }],
  users: '*' as const,
}

async function configure(store: string, key: string): Promise<ConfigurationInput> {
  return {
    publicUrl: 'https://tokens.example.com',
    store,
    keys: [{ id: 'key-1', secret: `file:${key}` }],
    bws: { apps: [APP] },
    idscan: { accounts: [await createAccount()] },
    nevisfido: NEVISFIDO,
    resourceServers: [{ id: 'verify-api', secret: digest(SECRETS.resourceServer) }],
    trustProxy: ['loopback'],
  }
}

export interface TrimintOptions extends ProcessOptions {
  readonly store: string
  /** Sections of the configuration that replace the default ones. */
  readonly sections?: Partial<ConfigurationInput> | undefined
}

export async function startTrimintProcess({ store, sections, env, ...options }: TrimintOptions) {
  await writeConfiguration(options.folder, store, sections)
  const process = startNode(START_WORDS, {
    ...options,
    env: { NODE_ENV: 'production', PORT: '0', DRAIN_DELAY: '0s', ...env },
  })
  return { port: await waitForPort(process), process }
}

/** Writes trimint.yaml and its key into the folder that Trimint starts in. */
export async function writeConfiguration(
  folder: string,
  store: string,
  sections: Partial<ConfigurationInput> = {},
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const key = join(folder, 'key')
  await writeFile(key, makeSecret(), { mode: 0o600 })
  await writeFile(join(folder, 'trimint.yaml'), JSON.stringify({ ...(await configure(store, key)), ...sections }))
}

async function waitForPort(process: MeasuredProcess): Promise<number> {
  const end = performance.now() + START_TIMEOUT_MS
  while (performance.now() < end && process.child.exitCode === null) {
    const port = /"url":"http:[^"]+:([0-9]+)"/.exec(await readFile(process.log, 'utf8'))?.[1]
    if (port !== undefined) return Number(port)
    await sleep(20)
  }
  const log = await readFile(process.log, 'utf8')
  await process[Symbol.asyncDispose]()
  throw new Error(`Trimint did not start:\n${log}`)
}
