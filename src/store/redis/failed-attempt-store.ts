import type { FailedAttemptStore, FailureCount } from '../../core/ports/failed-attempt-store.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { RedisClient } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { withReserve } from './reserve.ts'

const COUNT_KEY = 'trimint:failures:'

/** Two sorted sets by expiry, of all counts and of blocks: they list counts without a scan. */
const BY_EXPIRY = 'trimint:failures-by-end'
const BLOCKS = 'trimint:failures-blocks'

/**
 * Creates a store that counts failures in Redis. Each step changes one count; the sorted sets follow and may lag
 * behind. Redis expires the counts; the sorted sets are swept.
 */
export function createRedisFailedAttemptStore(connection: RedisConnection): FailedAttemptStore {
  const runningKeys = (client: RedisClient, set: string, now: number, count: number): Promise<string[]> =>
    client.zRange(set, '+inf', `(${now}`, { BY: 'SCORE', REV: true, LIMIT: { offset: 0, count } })

  const index = (client: RedisClient, set: string, key: string, expires: number): Promise<number> =>
    withReserve(client, () => client.zAdd(set, { value: key, score: expires }))

  async function sweep(set: string, cutoff: number): Promise<void> {
    await sweepAll(() =>
      connection.run(async (client) => {
        const expired = await client.zRange(set, '-inf', cutoff, {
          BY: 'SCORE',
          LIMIT: { offset: 0, count: SWEEP_STEP },
        })
        return expired.length === 0 ? 0 : client.zRem(set, expired)
      }),
    )
  }

  return {
    add: (key, lifetimeMs, now) =>
      connection.run(async (client) => {
        const added = await withReserve(client, () => client.addFailure(COUNT_KEY + key, now, now + lifetimeMs))
        await index(client, BY_EXPIRY, key, added.expires)
        return { key, ...added }
      }),
    block: (key, expires, now) =>
      connection.run(async (client) => {
        const isRunning = await withReserve(client, () => client.extendFailures(COUNT_KEY + key, now, expires))
        if (!isRunning) return
        await Promise.all([index(client, BLOCKS, key, expires), index(client, BY_EXPIRY, key, expires)])
      }),
    remove: (key, limit) =>
      connection.run(async (client) => {
        const removed = await client.removeFailures(COUNT_KEY + key, limit)
        if (removed > 0) await Promise.all([client.zRem(BLOCKS, key), client.zRem(BY_EXPIRY, key)])
        return removed
      }),
    subtract: (key, failures, limit) =>
      connection.run(async (client) => {
        const isGone = await client.subtractFailures(COUNT_KEY + key, failures, limit)
        if (isGone) await client.zRem(BY_EXPIRY, key)
      }),
    list: (now, { blocks, counts }) =>
      connection.run(async (client) => {
        const [blocked, all] = await Promise.all([
          runningKeys(client, BLOCKS, now, blocks),
          // More, because blocks are among them.
          runningKeys(client, BY_EXPIRY, now, blocks + counts),
        ])
        const isBlocked = new Set(blocked)
        const keys = [...blocked, ...all.filter((key) => !isBlocked.has(key)).slice(0, counts)]
        const found = await Promise.all(keys.map((key) => client.hGetAll(COUNT_KEY + key)))
        return found.flatMap(({ failures, expires }, at): FailureCount[] => {
          const count = { key: keys[at] ?? '', failures: Number(failures), expires: Number(expires) }
          return count.expires > now ? [count] : []
        })
      }),
    async sweep(now) {
      await Promise.all([sweep(BLOCKS, now - RETENTION_MS), sweep(BY_EXPIRY, now - RETENTION_MS)])
    },
    close: () => connection.close(),
  }
}
