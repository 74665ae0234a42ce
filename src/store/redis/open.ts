import { parseRedisUrl } from '../../core/ports/redis-url.ts'
import { createRedisConnection, type RedisConnection } from './connection.ts'
import { createRedisCredentialStore } from './credential-store.ts'
import { findDurabilityWarnings } from './durability.ts'
import { createRedisFailedAttemptStore } from './failed-attempt-store.ts'
import { createRedisInstanceStore } from './instance-store.ts'
import { requirePrimary, requireReplicated, requireWritable } from './primary.ts'
import { isRefusal } from './refusal.ts'
import { createRedisRevocationStore } from './revocation-store.ts'
import { requireRights } from './rights.ts'
import { createRedisTokenStore } from './token-store.ts'
import { createTopology } from './topology.ts'
import { createRedisUsageStore } from './usage-store.ts'

/**
 * Opens all stores of a Redis, each over a separate connection so that none waits behind another.
 *
 * Resolves once every connection is ready or its first attempt has failed: they go on connecting in the background.
 *
 * @throws Error for a malformed URL, and where Redis refuses the user, or the user lacks rights.
 */
export async function openRedis(url: string, onError: (error: Error) => void) {
  const address = parseRedisUrl(url)
  if (typeof address === 'string') throw new Error(address)
  const { replicas } = address
  const topology = createTopology(address)
  const connect = (): RedisConnection =>
    createRedisConnection({
      topology,
      replicas,
      onError,
      async prepare(client) {
        await requirePrimary(client)
        await requireRights(client, address)
        await requireWritable(client)
        if (replicas > 0) await requireReplicated(client, replicas)
      },
    })
  const connections = [connect(), connect(), connect(), connect(), connect(), connect()] as const
  const attempts = await Promise.allSettled(connections.map((connection) => connection.opened()))
  for (const attempt of attempts) {
    if (attempt.status === 'fulfilled' || !isRefusal(attempt.reason)) continue
    await Promise.all(connections.map((connection) => connection.close()))
    throw attempt.reason
  }
  const [failures, tokens, revocations, uses, instances, credentials] = connections
  return {
    warnings: () => findDurabilityWarnings(address, topology, instances),
    failures: createRedisFailedAttemptStore(failures),
    tokens: createRedisTokenStore(tokens),
    revocations: createRedisRevocationStore(revocations),
    uses: createRedisUsageStore(uses),
    replicas: createRedisInstanceStore(instances),
    credentials: createRedisCredentialStore(credentials),
  }
}
