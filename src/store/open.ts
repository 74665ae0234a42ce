import type { FailureStore } from './failure-store.ts'
import type { ReplicaStore } from './replica-store.ts'
import type { RevocationStore } from './revocation-store.ts'
import { openSqliteFailureStore } from './sqlite-failure-store.ts'
import { openSqliteReplicaStore } from './sqlite-replica-store.ts'
import { openSqliteRevocationStore } from './sqlite-revocation-store.ts'
import { openSqliteTokenStore } from './sqlite-token-store.ts'
import { openSqliteUseStore } from './sqlite-use-store.ts'
import type { TokenStore } from './token-store.ts'
import type { UseStore } from './use-store.ts'

/** Everything that outlives a process and is shared with others. */
export interface Stores {
  readonly failures: FailureStore
  readonly tokens: TokenStore
  readonly revocations: RevocationStore
  readonly uses: UseStore
  readonly replicas: ReplicaStore
  close(): Promise<void>
}

const SQLITE = 'sqlite:'

/**
 * Opens what the configuration's `store` names, each over a connection of its own: with a file, the connection decides whether it
 * waits for the disk; with a server, none waits behind another.
 *
 * @param onError told of a connection that is lost; it comes back by itself.
 * @throws Error for a file that cannot be opened. A Redis that is away is no error: what needs it fails until it is back.
 */
export async function openStores(store: string, onError: (error: Error) => void): Promise<Stores> {
  if (store.startsWith(SQLITE)) return withClose(openSqlite(store.slice(SQLITE.length)))
  // Loaded where it is needed alone: the client of Redis is a good part of what a start takes, in time and in memory.
  const { openRedis } = await import('./redis.ts')
  return withClose(await openRedis(store, onError))
}

function openSqlite(path: string): Omit<Stores, 'close'> {
  return {
    failures: openSqliteFailureStore(path),
    tokens: openSqliteTokenStore(path),
    revocations: openSqliteRevocationStore(path),
    uses: openSqliteUseStore(path),
    replicas: openSqliteReplicaStore(path),
  }
}

function withClose(stores: Omit<Stores, 'close'>): Stores {
  return { ...stores, close: async () => void (await Promise.all(Object.values(stores).map((store) => store.close()))) }
}
