import type { FailedAttemptStore, FailureCount } from '../../core/ports/failed-attempt-store.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'

const COUNT_KEY = 'trimint:failures:'

/** Two sorted sets of all counts, by failures and by expiry: they list counts without a scan. */
const BY_FAILURES = 'trimint:failures'
const BY_EXPIRY = 'trimint:failures-by-end'

/** How many expired counts one listing removes from both sets. */
const MAX_EXPIRED_PER_LIST = 1_000

/**
 * Creates a store that counts failures in Redis. Each step changes one count; the sorted sets follow and may lag
 * behind.
 */
export function createRedisFailedAttemptStore(client: RedisClient): FailedAttemptStore {
  return {
    add: (key, lifetimeMs, now) =>
      withTimeout(async () => {
        const count = { key, ...(await client.addFailure(COUNT_KEY + key, now, now + lifetimeMs)) }
        await Promise.all([
          client.zAdd(BY_FAILURES, { value: key, score: count.failures }),
          client.zAdd(BY_EXPIRY, { value: key, score: count.expires }),
        ])
        return count
      }),
    extend: (key, expires, now) =>
      withTimeout(async () => {
        const isRunning = await client.extendFailures(COUNT_KEY + key, now, expires)
        if (isRunning) await client.zAdd(BY_EXPIRY, { value: key, score: expires })
      }),
    remove: (key, limit) =>
      withTimeout(async () => {
        if (!(await client.removeFailures(COUNT_KEY + key, limit))) return false
        await Promise.all([client.zRem(BY_FAILURES, key), client.zRem(BY_EXPIRY, key)])
        return true
      }),
    list: (now, limit) =>
      withTimeout(async () => {
        const LIMIT = { offset: 0, count: MAX_EXPIRED_PER_LIST }
        const expired = await client.zRange(BY_EXPIRY, '-inf', now, { BY: 'SCORE', LIMIT })
        if (expired.length > 0) await Promise.all([client.zRem(BY_FAILURES, expired), client.zRem(BY_EXPIRY, expired)])
        const keys = await client.zRange(BY_FAILURES, 0, limit - 1, { REV: true })
        const counts = await Promise.all(keys.map((key) => client.hGetAll(COUNT_KEY + key)))
        return counts.flatMap(({ failures, expires }, at): FailureCount[] => {
          const count = { key: keys[at] ?? '', failures: Number(failures), expires: Number(expires) }
          return count.expires > now ? [count] : []
        })
      }),
    close: () => closeRedisClient(client),
  }
}
