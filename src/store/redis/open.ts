import type { Stores } from '../open-stores.ts'
import { createRedisClient } from './client.ts'
import { createRedisFailedAttemptStore } from './failed-attempt-store.ts'
import { createRedisInstanceStore } from './instance-store.ts'
import { createRedisRevocationStore } from './revocation-store.ts'
import { createRedisTokenStore } from './token-store.ts'
import { createRedisUsageStore } from './usage-store.ts'

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
    failures: createRedisFailedAttemptStore(failures),
    tokens: createRedisTokenStore(tokens),
    revocations: createRedisRevocationStore(revocations),
    uses: createRedisUsageStore(uses),
    replicas: createRedisInstanceStore(replicas),
  }
}
