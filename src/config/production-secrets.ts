import { digestSecret } from '../core/crypto/secrets.ts'
import { DEMO_PASSWORD_HASH, DEMO_SECRET } from './demo-config.ts'

/** The key in docker-compose.yml, used unless TRIMINT_KEY is set. */
const EXAMPLE_KEY = 'bG9jYWwtZGV2ZWxvcG1lbnQtb25seS1kby1ub3QtdXNl'

/** Secrets that everyone can read in this repository. */
const PUBLIC_SECRETS: ReadonlySet<string> = new Set([
  `sha256:${Buffer.from(digestSecret(DEMO_SECRET)).toString('hex')}`,
  DEMO_PASSWORD_HASH,
  EXAMPLE_KEY,
])

interface UnsafeSecret {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** Returns the secrets of a configuration that production must not use, before the schema hides them behind digests. */
export function findUnsafeSecrets(value: unknown, path: readonly PropertyKey[] = []): UnsafeSecret[] {
  if (typeof value === 'object' && value !== null) {
    const entries = Array.isArray(value) ? value.entries() : Object.entries(value)
    return [...entries].flatMap(([key, nested]) => findUnsafeSecrets(nested, [...path, key]))
  }
  const key = path.at(-1)
  if (typeof value !== 'string' || (key !== 'secret' && key !== 'password')) return []
  const allowed =
    'expected in production: one that only you know (npm run trimint -- new-key, hash-secret or hash-password)'
  if (value.startsWith('plain:')) return [{ path, message: `plain secret; ${allowed}` }]
  const isPublic = PUBLIC_SECRETS.has(value) || PUBLIC_SECRETS.has(value.toLowerCase())
  return isPublic ? [{ path, message: `public example; ${allowed}` }] : []
}
