import type { FailedAttemptStore } from '../core/ports/failed-attempt-store.ts'
import type { InstanceStore } from '../core/ports/instance-store.ts'
import type { RevocationStore } from '../core/ports/revocation-store.ts'
import type { TokenStore } from '../core/ports/token-store.ts'
import type { UsageStore } from '../core/ports/usage-store.ts'
import { openSqliteFailedAttemptStore } from './sqlite/failed-attempt-store.ts'
import { openSqliteInstanceStore } from './sqlite/instance-store.ts'
import { openSqliteRevocationStore } from './sqlite/revocation-store.ts'
import { openSqliteTokenStore } from './sqlite/token-store.ts'
import { openSqliteUsageStore } from './sqlite/usage-store.ts'

/** Everything that outlives a process and is shared with others. */
export interface Stores {
  readonly failures: FailedAttemptStore
  readonly tokens: TokenStore
  readonly revocations: RevocationStore
  readonly uses: UsageStore
  readonly replicas: InstanceStore
  close(): Promise<void>
}

export interface StoreListeners {
  /** Called for a connection that is lost; the store reconnects. */
  readonly onError: (error: Error) => void
  /** Called when the store can no longer say what is durable; the process should end. */
  readonly onFatal: (error: Error) => void
}

const SQLITE = 'sqlite:'

/**
 * Opens what the configuration's `store` names, each over a connection of its own: with a file, the connection decides whether it
 * waits for the disk; with a server, none waits behind another.
 *
 * @param onError told of a connection that is lost; it comes back by itself.
 * @throws Error for a file that cannot be opened. A Redis that is away is no error: what needs it fails until it is back.
 */
export async function openStores(store: string, { onError }: StoreListeners): Promise<Stores> {
  if (store.startsWith(SQLITE)) return withClose(openSqlite(store.slice(SQLITE.length)))
  // Loaded where it is needed alone: the client of Redis is a good part of what a start takes, in time and in memory.
  const { openRedis } = await import('./redis/open.ts')
  return withClose(await openRedis(store, onError))
}

function openSqlite(path: string): Omit<Stores, 'close'> {
  return {
    failures: openSqliteFailedAttemptStore(path),
    tokens: openSqliteTokenStore(path),
    revocations: openSqliteRevocationStore(path),
    uses: openSqliteUsageStore(path),
    replicas: openSqliteInstanceStore(path),
  }
}

function withClose(stores: Omit<Stores, 'close'>): Stores {
  return { ...stores, close: async () => void (await Promise.all(Object.values(stores).map((store) => store.close()))) }
}
