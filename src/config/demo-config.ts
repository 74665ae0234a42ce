import type { ConfigurationInput } from './schema.ts'

/** Public credentials of the demo. production-secrets.ts rejects them in production. */
export const DEMO_SECRET = 'demo-secret'
export const DEMO_PASSWORD = 'demo-password'

/** The argon2id hash of {@link DEMO_PASSWORD}, computed in advance: hashing would delay each start. */
export const DEMO_PASSWORD_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$xoidRLqFn/n5PiPVtd927A$5I1+28qJ7kpnXFkJ25W/EUjgAiviR3BSnXR/rAbI+T8'

interface DemoOptions {
  /** URL at which the demo is reached. */
  readonly publicUrl: string
  /** HS256 key in base64url. */
  readonly key: string
}

/** Returns the configuration that Trimint serves without a configuration file, outside production. */
export function createDemoConfiguration({ publicUrl, key }: DemoOptions): ConfigurationInput {
  const secret = `plain:${DEMO_SECRET}`
  return {
    publicUrl,
    keys: [{ id: 'development', secret: key }],
    bws: { apps: [{ id: 'demo-app', secret, client: 'Demo', bcids: '*' }], standIns: true },
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
      standIns: true,
    },
    nevisfido: {
      appId: `${publicUrl}/nevisfido/uaf/1.1/facets`,
      // No operation is protected, so that the vendor's own sample works as printed (N15).
      protect: [],
      clients: [{ id: 'demo-backend', secret, users: '*' }],
      users: '*',
      attestation: 'surrogate',
    },
    resourceServers: [{ id: 'demo-api', secret }],
    guard: { block: '30s' },
    // Other programs on a developer's machine must not make requests fail.
    overload: false,
    control: true,
  }
}
