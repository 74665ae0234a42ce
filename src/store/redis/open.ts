import { createRedisClient, type RedisClient } from './client.ts'
import { createRedisFailedAttemptStore } from './failed-attempt-store.ts'
import { createRedisInstanceStore } from './instance-store.ts'
import { createRedisRevocationStore } from './revocation-store.ts'
import { createRedisTokenStore } from './token-store.ts'
import { createRedisUsageStore } from './usage-store.ts'

/** How long opening waits for a server that accepts a connection and then sends nothing. */
const OPEN_TIMEOUT_MS = 5_000

/**
 * Opens all stores of a Redis, each over a separate connection so that none waits behind another.
 *
 * Resolves once every connection is ready, has failed for the first time or has timed out: the clients go on connecting
 * in the background.
 */
export async function openRedis(url: string, onError: (error: Error) => void) {
  const connect = async (): Promise<RedisClient> => {
    const client = createRedisClient(url, onError)
    const connected = client.connect().catch(onError)
    const failed = new Promise((resolve) => client.once('error', resolve))
    const timedOut = new Promise((resolve) => setTimeout(resolve, OPEN_TIMEOUT_MS).unref())
    await Promise.race([connected, failed, timedOut])
    return client
  }
  const connections = [connect(), connect(), connect(), connect(), connect()] as const
  const [failures, tokens, revocations, uses, replicas] = await Promise.all(connections)
  return {
    failures: createRedisFailedAttemptStore(failures),
    tokens: createRedisTokenStore(tokens),
    revocations: createRedisRevocationStore(revocations),
    uses: createRedisUsageStore(uses),
    replicas: createRedisInstanceStore(replicas),
  }
}
