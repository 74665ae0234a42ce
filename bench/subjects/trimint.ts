// Trimint as an operator runs it: docs/operations.md, Deploy and Configure. Not a program of its own.

import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { createAccounts } from '../support.ts'
import { type BenchmarkProcess, startNode } from './process.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** Milliseconds until a server that does not listen is given up. */
const START_TIMEOUT = 15_000

const makeSecret = (): string => randomBytes(32).toString('base64url')
const digest = (secret: string): string => `sha256:${createHash('sha256').update(secret).digest('hex')}`

/** The secrets of whoever calls; the configuration has their digests alone. */
export const SECRETS = { app: makeSecret(), client: makeSecret(), resourceServer: makeSecret() }

export const ACCOUNT = 'anna-001'

/** All of it on, as it is by default: guard, overload protection, metrics, the API reference. */
async function configure(store: string, key: string): Promise<ConfigurationInput> {
  return {
    publicUrl: 'https://tokens.example.com',
    store,
    keys: [{ id: '2026-11', secret: `file:${key}` }],
    bws: { apps: [{ id: 'shop', client: 'Shop', secret: digest(SECRETS.app), bcids: ['bws/112'] }] },
    idscan: {
      accounts: (await createAccounts('anna', 3)).map((account) => ({
        ...account,
        fullName: 'Anna Example',
        role: 'SuperAdministrator',
        areas: ['scanning', 'investigation'],
        memberOf: ['Users'],
        tenant: 'Example',
      })),
    },
    nevisfido: {
      appId: 'https://fido.example.com/nevisfido/uaf/1.1/facets',
      clients: [{ id: 'backend', secret: digest(SECRETS.client), users: '*' }],
      users: '*',
    },
    resourceServers: [{ id: 'verify-api', secret: digest(SECRETS.resourceServer) }],
    trustProxy: ['loopback'],
  }
}

export interface StartedTrimint {
  readonly port: number
  readonly process: BenchmarkProcess
}

export interface TrimintOptions {
  readonly core: number | undefined
  /** Its own: for its configuration, its log and its store. */
  readonly folder: string
  readonly store: string
  /** Of its environment, beside what every start has. */
  readonly variables?: Readonly<Record<string, string>> | undefined
}

export async function startTrimint({ core, folder, store, variables }: TrimintOptions): Promise<StartedTrimint> {
  await mkdir(folder, { recursive: true })
  // `file:` takes absolute paths alone.
  const key = join(folder, 'key')
  await writeFile(key, makeSecret(), { mode: 0o600 })
  await writeFile(join(folder, 'trimint.yaml'), JSON.stringify(await configure(store, key)))
  const log = join(folder, 'log')
  const started = startNode({
    script: join(ROOT, 'src/main.ts'),
    options: ['--require', join(ROOT, 'src/preload.cjs')],
    core,
    folder,
    env: { NODE_ENV: 'production', PORT: '0', ...variables },
    log,
  })
  const end = performance.now() + START_TIMEOUT
  while (performance.now() < end && started.child.exitCode === null) {
    const port = /"url":"http:[^"]+:([0-9]+)"/.exec(await readFile(log, 'utf8'))?.[1]
    if (port !== undefined) return { port: Number(port), process: started }
    await sleep(20)
  }
  await started[Symbol.asyncDispose]()
  throw new Error('Trimint did not start')
}
