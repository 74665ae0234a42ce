import type { Announcement, InstanceStore, NeededUntil } from '../../core/ports/instance-store.ts'
import { RETENTION } from '../../core/ports/token-store.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'
import { defineRedisScript } from './script.ts'

/** A hash: announcements as JSON, by their ids. */
const REPLICAS = 'trimint:replicas'

/** A sorted set: fingerprints by the time until which the key is needed. */
const SIGNING_KEYS = 'trimint:signing-keys'

/** KEYS: announcements, keys. ARGV: now, the time up to which what was needed is forgotten. */
const sweep = defineRedisScript(`
local held = {}
for _, text in ipairs(redis.call('HVALS', KEYS[1])) do
  local announcement = cjson.decode(text)
  if announcement.expires <= tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], announcement.id)
  else
    for _, key in ipairs(announcement.keys) do held[key] = true end
  end
end
for _, key in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', ARGV[2], 'BYSCORE')) do
  if not held[key] then redis.call('ZREM', KEYS[2], key) end
end`)

/** Keeps announcements in Redis. */
export function createRedisInstanceStore(client: RedisClient): InstanceStore {
  async function noteNeeds(needs: NeededUntil): Promise<void> {
    if (needs.size === 0) return
    const members = [...needs].map(([value, score]) => ({ value, score }))
    await client.zAdd(SIGNING_KEYS, members, { comparison: 'GT' })
  }

  return {
    announce: (announcement, needs) =>
      withTimeout(async () => {
        await Promise.all([client.hSet(REPLICAS, announcement.id, JSON.stringify(announcement)), noteNeeds(needs)])
      }),
    leave: (id, needs) =>
      withTimeout(async () => void (await Promise.all([client.hDel(REPLICAS, id), noteNeeds(needs)]))),
    running: (now) =>
      withTimeout(async () => {
        const announcements = (await client.hVals(REPLICAS)).map((text) => JSON.parse(text) as Announcement)
        return announcements.filter(({ expires }) => expires > now)
      }),
    neededUntil: () =>
      withTimeout(async () => {
        const members = await client.zRangeWithScores(SIGNING_KEYS, 0, -1)
        return new Map(members.map(({ value, score }) => [value, score]))
      }),
    sweep: (now) => withTimeout(async () => void (await sweep(client, [REPLICAS, SIGNING_KEYS], now, now - RETENTION))),
    close: () => closeRedisClient(client),
  }
}
