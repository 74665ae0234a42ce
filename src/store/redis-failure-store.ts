import type { FailureCount, FailureStore } from './failure-store.ts'
import type { RedisClient } from './redis-client.ts'

const PREFIX = 'trimint:failures:'

/** All keys that count, by the end of their count: what makes them listable without a scan. */
const INDEX = 'trimint:failures'

/** KEYS: the count. ARGV: now, its end if it is new, both in milliseconds. Answers failures and end. */
const ADD = `
local expires = tonumber(redis.call('HGET', KEYS[1], 'expires') or '0')
if expires <= tonumber(ARGV[1]) then
  expires = tonumber(ARGV[2])
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'expires', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[2] - ARGV[1])
end
return { redis.call('HINCRBY', KEYS[1], 'failures', 1), tostring(expires) }`

/** KEYS: the count. ARGV: now, its new end. Answers whether there is one. */
const EXTEND = `
if tonumber(redis.call('HGET', KEYS[1], 'expires') or '0') <= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'expires', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] - ARGV[1])
return 1`

/** KEYS: the count. ARGV: the limit that it has to be below. Answers whether there was one. */
const REMOVE = `
local failures = redis.call('HGET', KEYS[1], 'failures')
if not failures or tonumber(failures) >= tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])`

/** Counts failures in Redis. Each step touches one count; the index follows it and may lag behind. */
export function createRedisFailureStore(client: RedisClient): FailureStore {
  const run = (script: string, key: string, ...numbers: number[]) =>
    client.eval(script, { keys: [PREFIX + key], arguments: numbers.map(String) })

  return {
    async add(key, lifetime, now) {
      const [failures, expires] = (await run(ADD, key, now, now + lifetime)) as [number, string]
      const count = { key, failures, expires: Number(expires) }
      await client.zAdd(INDEX, { value: key, score: count.expires })
      return count
    },
    async extend(key, expires, now) {
      if (await run(EXTEND, key, now, expires)) await client.zAdd(INDEX, { value: key, score: expires })
    },
    async remove(key, limit) {
      if (!(await run(REMOVE, key, limit))) return false
      await client.zRem(INDEX, key)
      return true
    },
    async list(now, limit) {
      await client.zRemRangeByScore(INDEX, '-inf', now)
      const keys = await client.zRange(INDEX, '+inf', `(${now}`, {
        BY: 'SCORE',
        REV: true,
        LIMIT: { offset: 0, count: limit },
      })
      const counts = await Promise.all(keys.map((key) => client.hGetAll(PREFIX + key)))
      return counts.flatMap(({ failures, expires }, at): FailureCount[] => {
        const count = { key: keys[at] ?? '', failures: Number(failures), expires: Number(expires) }
        return count.expires > now ? [count] : []
      })
    },
    async close() {
      if (client.isReady) await client.close()
      else client.destroy()
    },
  }
}
