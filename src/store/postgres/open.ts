import { hostname } from 'node:os'
import { parsePostgresUrl } from '../../core/ports/postgres-url.ts'
import { connect } from './connection.ts'
import { createPostgresCredentialStore } from './credential-store.ts'
import { findDurabilityWarnings } from './durability.ts'
import { createPostgresFailedAttemptStore } from './failed-attempt-store.ts'
import { createPostgresInstanceStore } from './instance-store.ts'
import { openPrimary } from './primary.ts'
import { createPostgresRevocationStore } from './revocation-store.ts'
import { prepareSchema } from './schema.ts'
import { createPostgresTokenStore } from './token-store.ts'
import { createPostgresUsageStore } from './usage-store.ts'

export interface PostgresOptions {
  /** Called when a server is left, and when a search fails for another reason than the last one. */
  readonly onError: (error: Error) => void
  /** Whether to create missing tables and to migrate those of an older version. */
  readonly create: boolean
}

/**
 * Opens all stores of a PostgreSQL database. Resolves once the server is found or the first search has failed. The
 * search continues in the background.
 *
 * @throws Error for a malformed URL, and where PostgreSQL refuses the user or the database cannot hold the store.
 */
export async function openPostgres(url: string, { onError, create }: PostgresOptions) {
  const address = parsePostgresUrl(url)
  if (typeof address === 'string') throw new Error(address)
  // PostgreSQL keeps 63 bytes of it. Names of pods differ at their end.
  const applicationName = `trimint ${process.pid} ${hostname().slice(-40)}`
  const primary = openPrimary({
    hosts: address.hosts,
    connect: (host) => connect(address, host, applicationName),
    onError,
    prepare: (connection) => prepareSchema(connection, { create }),
  })
  const { close } = primary
  try {
    await primary.opened
  } catch (error) {
    await close()
    throw error
  }
  return {
    warnings: () => findDurabilityWarnings(primary),
    failures: { ...createPostgresFailedAttemptStore(primary), close },
    credentials: { ...createPostgresCredentialStore(primary), close },
    tokens: { ...createPostgresTokenStore(primary), close },
    revocations: { ...createPostgresRevocationStore(primary), close },
    uses: { ...createPostgresUsageStore(primary), close },
    replicas: { ...createPostgresInstanceStore(primary), close },
  }
}
