import type { Stores } from './open.ts'
import { createRedisClient } from './redis-client.ts'
import { createRedisFailureStore } from './redis-failure-store.ts'
import { createRedisReplicaStore } from './redis-replica-store.ts'
import { createRedisRevocationStore } from './redis-revocation-store.ts'
import { createRedisTokenStore } from './redis-token-store.ts'
import { createRedisUseStore } from './redis-use-store.ts'

/** Milliseconds that a start waits for a Redis that takes a connection and then says nothing. */
const CONNECT_WAIT = 5_000

/** Every store of a Redis, each over a connection of its own: none waits behind another. */
export async function openRedis(url: string, onError: (error: Error) => void): Promise<Omit<Stores, 'close'>> {
  const connect = async () => {
    const client = createRedisClient(url, onError)
    // Whoever listens is asked at once: so with a connection, where there is one to be had. It is made and made again in
    // the background, so the first attempt that fails ends the wait.
    const failed = new Promise((done) => client.once('error', done))
    const connected = client.connect().catch(onError)
    await Promise.race([connected, failed, new Promise((done) => setTimeout(done, CONNECT_WAIT).unref())])
    return client
  }
  const connections = [connect(), connect(), connect(), connect(), connect()] as const
  const [failures, tokens, revocations, uses, replicas] = await Promise.all(connections)
  return {
    failures: createRedisFailureStore(failures),
    tokens: createRedisTokenStore(tokens),
    revocations: createRedisRevocationStore(revocations),
    uses: createRedisUseStore(uses),
    replicas: createRedisReplicaStore(replicas),
  }
}
