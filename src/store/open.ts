import type { FailureStore } from './failure-store.ts'
import { createRedisClient } from './redis-client.ts'
import { createRedisFailureStore } from './redis-failure-store.ts'
import { createRedisReplicaStore } from './redis-replica-store.ts'
import { createRedisRevocationStore } from './redis-revocation-store.ts'
import { createRedisTokenStore } from './redis-token-store.ts'
import { createRedisUseStore } from './redis-use-store.ts'
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
export function openStores(store: string, onError: (error: Error) => void): Promise<Stores> {
  return store.startsWith(SQLITE) ? openSqlite(store.slice(SQLITE.length)) : openRedis(store, onError)
}

async function openSqlite(path: string): Promise<Stores> {
  return withClose({
    failures: openSqliteFailureStore(path),
    tokens: openSqliteTokenStore(path),
    revocations: openSqliteRevocationStore(path),
    uses: openSqliteUseStore(path),
    replicas: openSqliteReplicaStore(path),
  })
}

async function openRedis(url: string, onError: (error: Error) => void): Promise<Stores> {
  const connect = async () => {
    const client = createRedisClient(url, onError)
    // Not awaited for long: the connection is made and made again in the background.
    const connected = client.connect().catch(onError)
    await Promise.race([connected, new Promise((done) => setTimeout(done, 1_000).unref())])
    return client
  }
  const connections = [connect(), connect(), connect(), connect(), connect()] as const
  const [failures, tokens, revocations, uses, replicas] = await Promise.all(connections)
  return withClose({
    failures: createRedisFailureStore(failures),
    tokens: createRedisTokenStore(tokens),
    revocations: createRedisRevocationStore(revocations),
    uses: createRedisUseStore(uses),
    replicas: createRedisReplicaStore(replicas),
  })
}

function withClose(stores: Omit<Stores, 'close'>): Stores {
  return { ...stores, close: async () => void (await Promise.all(Object.values(stores).map((store) => store.close()))) }
}
