import { RETENTION } from '../../core/ports/token-store.ts'
import type { UsageStore } from '../../core/ports/usage-store.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'
import { defineRedisScript } from './script.ts'

const COUNT = 'trimint:uses:'
const LAST_USE = 'trimint:last-use:'

/** KEYS: the count. ARGV: the limit, how long it is kept in milliseconds. Answers the count, nothing where none was left. */
const count = defineRedisScript(`
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used >= tonumber(ARGV[1]) then return false end
if used == 0 then redis.call('SET', KEYS[1], '1', 'PX', ARGV[2]) else redis.call('INCR', KEYS[1]) end
return used + 1`)

/** KEYS: the last use. ARGV: when, how long it is kept in milliseconds. */
const touch = defineRedisScript(`
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`)

/** Counts and notes uses in Redis. Each step touches one key, which goes away by itself. */
export function createRedisUsageStore(client: RedisClient): UsageStore {
  // A key with no time left would be gone at once, and with it what was counted.
  const keptFor = (expires: number, now: number): number => Math.max(1, expires - now) + RETENTION

  return {
    count: (tokenId, limit, expires, now) =>
      withTimeout(async () => {
        const used = await count(client, [COUNT + tokenId], limit, keptFor(expires, now))
        return used === null ? undefined : Number(used)
      }),
    counted: (tokenId) => withTimeout(async () => Number((await client.get(COUNT + tokenId)) ?? 0)),
    touch: (uses, now) =>
      withTimeout(async () => {
        await Promise.all(
          uses.map(({ tokenId, usedAt, expires }) =>
            touch(client, [LAST_USE + tokenId], usedAt, keptFor(expires, now)),
          ),
        )
      }),
    lastUse: (tokenId) =>
      withTimeout(async () => {
        const usedAt = await client.get(LAST_USE + tokenId)
        return usedAt === null ? undefined : Number(usedAt)
      }),
    // Redis does it.
    sweep: async () => undefined,
    close: () => closeRedisClient(client),
  }
}
