import { RETENTION_MS } from '../../core/ports/retention.ts'
import type { UsageStore } from '../../core/ports/usage-store.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'

const COUNT_KEY = 'trimint:uses:'
const LAST_USE_KEY = 'trimint:last-use:'

/** Creates a store that counts and notes uses in Redis. Each step changes one key, which Redis expires. */
export function createRedisUsageStore(client: RedisClient): UsageStore {
  // At least 1 ms: Redis would delete a key without time left at once, and with it the count.
  const keepMs = (expires: number, now: number): number => Math.max(1, expires - now) + RETENTION_MS

  return {
    count: (tokenId, limit, expires, now) =>
      withTimeout(() => client.countUse(COUNT_KEY + tokenId, limit, keepMs(expires, now))),
    counted: (tokenId) => withTimeout(async () => Number((await client.get(COUNT_KEY + tokenId)) ?? 0)),
    touch: (uses, now) =>
      withTimeout(async () => {
        await Promise.all(
          uses.map(({ tokenId, usedAt, expires }) =>
            client.noteUse(LAST_USE_KEY + tokenId, usedAt, keepMs(expires, now)),
          ),
        )
      }),
    lastUse: (tokenId) =>
      withTimeout(async () => {
        const usedAt = await client.get(LAST_USE_KEY + tokenId)
        return usedAt === null ? undefined : Number(usedAt)
      }),
    // Redis expires the keys.
    sweep: async () => undefined,
    close: () => closeRedisClient(client),
  }
}
