import type { FailedAttemptStore, FailureCount } from '../../core/ports/failed-attempt-store.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'
import { defineRedisScript } from './script.ts'

const PREFIX = 'trimint:failures:'

/** All keys that count, by their failures and by their end: what makes them listable without a scan. */
const BY_FAILURES = 'trimint:failures'
const BY_END = 'trimint:failures-by-end'

/** How many that have ended go from the indexes with one listing. */
const SWEEP = 1_000

/** KEYS: the count. ARGV: now, its end if it is new, both in milliseconds. Answers failures and end. */
const add = defineRedisScript(`
local expires = tonumber(redis.call('HGET', KEYS[1], 'expires') or '0')
if expires <= tonumber(ARGV[1]) then
  expires = tonumber(ARGV[2])
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'expires', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[2] - ARGV[1])
end
return { redis.call('HINCRBY', KEYS[1], 'failures', 1), tostring(expires) }`)

/** KEYS: the count. ARGV: now, its new end. Answers whether there is one. */
const extend = defineRedisScript(`
if tonumber(redis.call('HGET', KEYS[1], 'expires') or '0') <= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'expires', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] - ARGV[1])
return 1`)

/** KEYS: the count. ARGV: the limit that it has to be below. Answers whether there was one. */
const remove = defineRedisScript(`
local failures = redis.call('HGET', KEYS[1], 'failures')
if not failures or tonumber(failures) >= tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])`)

/** Counts failures in Redis. Each step touches one count; the index follows it and may lag behind. */
export function createRedisFailedAttemptStore(client: RedisClient): FailedAttemptStore {
  return {
    add: (key, lifetime, now) =>
      withTimeout(async () => {
        const [failures, expires] = (await add(client, [PREFIX + key], now, now + lifetime)) as [number, string]
        const count = { key, failures, expires: Number(expires) }
        await Promise.all([
          client.zAdd(BY_FAILURES, { value: key, score: failures }),
          client.zAdd(BY_END, { value: key, score: count.expires }),
        ])
        return count
      }),
    extend: (key, expires, now) =>
      withTimeout(async () => {
        if (await extend(client, [PREFIX + key], now, expires))
          await client.zAdd(BY_END, { value: key, score: expires })
      }),
    remove: (key, limit) =>
      withTimeout(async () => {
        if (!(await remove(client, [PREFIX + key], limit))) return false
        await Promise.all([client.zRem(BY_FAILURES, key), client.zRem(BY_END, key)])
        return true
      }),
    list: (now, limit) =>
      withTimeout(async () => {
        const ended = await client.zRange(BY_END, '-inf', now, { BY: 'SCORE', LIMIT: { offset: 0, count: SWEEP } })
        if (ended.length > 0) await Promise.all([client.zRem(BY_FAILURES, ended), client.zRem(BY_END, ended)])
        const keys = await client.zRange(BY_FAILURES, 0, limit - 1, { REV: true })
        const counts = await Promise.all(keys.map((key) => client.hGetAll(PREFIX + key)))
        return counts.flatMap(({ failures, expires }, at): FailureCount[] => {
          const count = { key: keys[at] ?? '', failures: Number(failures), expires: Number(expires) }
          return count.expires > now ? [count] : []
        })
      }),
    close: () => closeRedisClient(client),
  }
}
