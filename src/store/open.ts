import type { FailureStore } from './failure-store.ts'
import { createRedisClient, type RedisClient } from './redis-client.ts'
import { createRedisFailureStore } from './redis-failure-store.ts'
import { createRedisTokenStore } from './redis-token-store.ts'
import { openSqliteFailureStore } from './sqlite-failure-store.ts'
import { openSqliteTokenStore } from './sqlite-token-store.ts'
import type { TokenStore } from './token-store.ts'

const SQLITE = 'sqlite:'

/**
 * Opens what the configuration's `store` names, to count failures in.
 *
 * @param onError told of a connection that is lost; it comes back by itself.
 * @throws Error for a file that cannot be opened. A Redis that is away is no error: what needs it fails until it is back.
 */
export async function openFailureStore(store: string, onError: (error: Error) => void): Promise<FailureStore> {
  if (store.startsWith(SQLITE)) return openSqliteFailureStore(store.slice(SQLITE.length))
  return createRedisFailureStore(await connect(store, onError))
}

/**
 * Opens what the configuration's `store` names, to keep tokens in: the same file or server, over a connection of its own,
 * because a file's connection decides whether it waits for the disk.
 *
 * @param onError as for {@link openFailureStore}.
 * @throws Error as {@link openFailureStore} does.
 */
export async function openTokenStore(store: string, onError: (error: Error) => void): Promise<TokenStore> {
  if (store.startsWith(SQLITE)) return openSqliteTokenStore(store.slice(SQLITE.length))
  return createRedisTokenStore(await connect(store, onError))
}

async function connect(url: string, onError: (error: Error) => void): Promise<RedisClient> {
  const client = createRedisClient(url, onError)
  // Not awaited for long: the connection is made and made again in the background.
  const connected = client.connect().catch(onError)
  await Promise.race([connected, new Promise((done) => setTimeout(done, 1_000).unref())])
  return client
}
