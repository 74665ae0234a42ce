import { RETENTION_MS } from '../../core/ports/retention.ts'
import type { UsageStore } from '../../core/ports/usage-store.ts'
import type { RedisConnection } from './connection.ts'
import { deleteKeys } from './delete-keys.ts'
import { withReserve } from './reserve.ts'

const COUNT_KEY = 'trimint:uses:'
const LAST_USE_KEY = 'trimint:last-use:'

/** Creates a store that counts and notes uses in Redis. Each step changes one key, which Redis expires. */
export function createRedisUsageStore(connection: RedisConnection): UsageStore {
  // At least 1 ms: Redis would delete a key without time left at once, and with it the count.
  const keepMs = (expires: number, now: number): number => Math.max(1, expires - now) + RETENTION_MS

  return {
    count: (tokenId, limit, expires, now) =>
      connection.write((client) =>
        withReserve(client, () => client.countUse(COUNT_KEY + tokenId, limit, keepMs(expires, now))),
      ),
    counted: (tokenId) => connection.run(async (client) => Number((await client.get(COUNT_KEY + tokenId)) ?? 0)),
    touch: (uses, now) =>
      connection.write(async (client) => {
        await Promise.all(
          uses.map(({ tokenId, usedAt, expires }) =>
            client.noteUse(LAST_USE_KEY + tokenId, usedAt, keepMs(expires, now)),
          ),
        )
      }),
    lastUse: (tokenId) =>
      connection.run(async (client) => {
        const usedAt = await client.get(LAST_USE_KEY + tokenId)
        return usedAt === null ? undefined : Number(usedAt)
      }),
    // Redis expires the keys.
    sweep: async () => undefined,
    async clear() {
      for (const prefix of [COUNT_KEY, LAST_USE_KEY]) await deleteKeys(connection, prefix)
    },
    close: () => connection.close(),
  }
}
