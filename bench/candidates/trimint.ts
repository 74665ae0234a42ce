// Trimint as an operator runs it in production (docs/operations.md): everything on that is on by default.

import { hash, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { systemRandomness } from '../../src/app/system-randomness.ts'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { hashPassword } from '../../src/core/crypto/passwords.ts'
import { formatRequest } from '../load/http.ts'
import { type ServerOptions, startServer } from '../server.ts'
import type { Target, Traffic } from './candidate.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** The program of the package, which `npm run build` builds. */
export const PACKAGE_COMMAND = [process.execPath, join(ROOT, 'bin/trimint.cjs')]

/** What `npm start` runs. */
const START_COMMAND = [process.execPath, '--require', join(ROOT, 'src/preload.cjs'), join(ROOT, 'src/main.ts')]

const READINESS = formatRequest('GET /readyz')

export const ACCOUNT = { username: 'anna', password: 'right-password' }

const makeSecret = (): string => randomBytes(32).toString('base64url')
const digest = (secret: string): string => `sha256:${hash('sha256', secret)}`

/** The secrets of the callers; the configuration contains only their digests. */
export const SECRETS = { app: makeSecret(), client: makeSecret(), resourceServer: makeSecret() }

export const APP = { id: 'shop', client: 'Shop', secret: digest(SECRETS.app), bcids: ['bws/112'] }

export const createAccount = async () => ({
  username: ACCOUNT.username,
  password: await hashPassword(ACCOUNT.password, systemRandomness),
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

/** Writes trimint.yaml and its key into the folder that Trimint starts in. */
export async function writeConfiguration(
  folder: string,
  store: string,
  sections: Partial<ConfigurationInput> = {},
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const key = join(folder, 'key')
  await writeFile(key, makeSecret(), { mode: 0o600 })
  const configuration: ConfigurationInput = {
    publicUrl: 'https://tokens.example.com',
    store,
    keys: [{ id: 'key-1', secret: `file:${key}` }],
    bws: { apps: [APP] },
    idscan: { accounts: [await createAccount()] },
    nevisfido: NEVISFIDO,
    resourceServers: [{ id: 'verify-api', secret: digest(SECRETS.resourceServer) }],
    trustProxy: ['loopback'],
    ...sections,
  }
  await writeFile(join(folder, 'trimint.yaml'), JSON.stringify(configuration))
}

export interface TrimintOptions extends ServerOptions {
  readonly store: string
  /** Sections of the configuration that replace the default ones. */
  readonly sections?: Partial<ConfigurationInput> | undefined
}

export async function startTrimint(
  { store, sections, env, ...place }: TrimintOptions,
  traffic: Traffic,
): Promise<Target> {
  await writeConfiguration(place.folder, store, sections)
  const options = { ...place, env: { NODE_ENV: 'production', DRAIN_DELAY: '0s', ...env } }
  const server = await startServer(START_COMMAND, options, READINESS)
  return { server, ...traffic, sharesGeneratorCore: !store.startsWith('sqlite:') }
}
