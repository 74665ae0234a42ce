import type { FailureStore } from './failure-store.ts'
import { createRedisClient } from './redis-client.ts'
import { createRedisFailureStore } from './redis-failure-store.ts'
import { openSqliteFailureStore } from './sqlite-failure-store.ts'

/**
 * Opens what the configuration's `store` names.
 *
 * @param onError told of a connection that is lost; it comes back by itself.
 * @throws Error for a file that cannot be opened. A Redis that is away is no error: what needs it fails until it is back.
 */
export async function openFailureStore(store: string, onError: (error: Error) => void): Promise<FailureStore> {
  if (store.startsWith('sqlite:')) return openSqliteFailureStore(store.slice('sqlite:'.length))
  const client = createRedisClient(store, onError)
  // Not awaited for long: the connection is made and made again in the background.
  const connected = client.connect().catch(onError)
  await Promise.race([connected, new Promise((done) => setTimeout(done, 1_000).unref())])
  return createRedisFailureStore(client)
}
