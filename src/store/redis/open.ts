import { createRedisConnection, type RedisConnection } from './connection.ts'
import { createRedisCredentialStore } from './credential-store.ts'
import { createRedisFailedAttemptStore } from './failed-attempt-store.ts'
import { createRedisInstanceStore } from './instance-store.ts'
import { requirePrimary, requireWritable } from './primary.ts'
import { createRedisRevocationStore } from './revocation-store.ts'
import { isRightsError, requireRights } from './rights.ts'
import { atFixedAddress } from './server.ts'
import { createRedisTokenStore } from './token-store.ts'
import { createRedisUsageStore } from './usage-store.ts'

/**
 * Opens all stores of a Redis, each over a separate connection so that none waits behind another.
 *
 * Resolves once every connection is ready or its first attempt has failed: they go on connecting in the background.
 *
 * @throws Error where Redis refuses the user, or the user lacks rights.
 */
export async function openRedis(url: string, onError: (error: Error) => void) {
  const findPrimary = atFixedAddress(url)
  const connect = (): RedisConnection =>
    createRedisConnection({
      findPrimary,
      onError,
      async prepare(client) {
        await requirePrimary(client)
        await requireRights(client)
        await requireWritable(client)
      },
    })
  const connections = [connect(), connect(), connect(), connect(), connect(), connect()] as const
  const attempts = await Promise.allSettled(connections.map((connection) => connection.opened()))
  for (const attempt of attempts) {
    if (attempt.status === 'fulfilled' || !isRightsError(attempt.reason)) continue
    await Promise.all(connections.map((connection) => connection.close()))
    throw attempt.reason
  }
  const [failures, tokens, revocations, uses, replicas, credentials] = connections
  return {
    failures: createRedisFailedAttemptStore(failures),
    tokens: createRedisTokenStore(tokens),
    revocations: createRedisRevocationStore(revocations),
    uses: createRedisUsageStore(uses),
    replicas: createRedisInstanceStore(replicas),
    credentials: createRedisCredentialStore(credentials),
  }
}
