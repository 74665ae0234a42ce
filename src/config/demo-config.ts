import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MIN_KEY_BYTES } from '../core/crypto/keyring.ts'
import type { Randomness } from '../core/randomness.ts'
import type { Environment } from './environment.ts'
import type { ConfigurationInput } from './schema.ts'

/** What everyone may know. Refused in production (load.ts). */
export const DEMO_SECRET = 'demo-secret'
export const DEMO_PASSWORD = 'demo-password'

/** The argon2id hash of {@link DEMO_PASSWORD}: computed once, so that a start does not have to. */
export const DEMO_PASSWORD_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$xoidRLqFn/n5PiPVtd927A$5I1+28qJ7kpnXFkJ25W/EUjgAiviR3BSnXR/rAbI+T8'

const LOOPBACK = ['127.0.0.1', 'localhost', '::1']

/** The built-in configuration hands out tokens to everyone who reads this file, so only this machine may ask. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.includes(host)
}

/**
 * The configuration of a start without a file, outside production.
 *
 * @param folder where its key is kept between starts.
 * @param randomness makes the key where there is none yet; without it that is an error.
 */
export function loadDemoConfiguration(
  environment: Environment,
  folder: string,
  randomness: Randomness | undefined,
): ConfigurationInput {
  const host = environment.HOST.includes(':') ? `[${environment.HOST}]` : environment.HOST
  const publicUrl = `http://${host}:${environment.PORT || 8080}`
  return createDemoConfiguration({ publicUrl, key: developmentKey(folder, randomness) })
}

/** Returns the built-in demo, signing with a base64url key. */
export function createDemoConfiguration({ publicUrl, key }: { publicUrl: string; key: string }): ConfigurationInput {
  const secret = `plain:${DEMO_SECRET}`
  return {
    publicUrl,
    keys: [{ id: 'development', secret: key }],
    bws: { apps: [{ id: 'demo-app', secret, client: 'Demo', bcids: '*' }] },
    idscan: {
      accounts: [
        {
          username: 'demo',
          password: DEMO_PASSWORD_HASH,
          fullName: 'Demo Account',
          role: 'SuperAdministrator',
          areas: ['scanning', 'investigation'],
          memberOf: ['Users'],
          tenant: 'Demo',
        },
      ],
    },
    nevisfido: {
      appId: `${publicUrl}/nevisfido/uaf/1.1/facets`,
      // Nothing is protected, so that the vendor's own sample works as printed (N15).
      protect: [],
      clients: [{ id: 'demo-backend', secret, users: '*' }],
      users: '*',
    },
    resourceServers: [{ id: 'demo-api', secret }],
    guard: { block: '30s' },
    // What else a developer's machine is busy with is nobody's fault.
    overload: false,
  }
}

/** Made once and kept, so that tokens outlive a restart. Another process that starts at the same time gets the same key. */
function developmentKey(folder: string, randomness: Randomness | undefined): string {
  const file = join(folder, 'development.key')
  if (!randomness) return readFileSync(file, 'utf8')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  try {
    const key = Buffer.from(randomness.bytes(MIN_KEY_BYTES)).toString('base64url')
    writeFileSync(file, key, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(file, 'utf8')
}
