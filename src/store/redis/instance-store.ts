import type { Announcement, InstanceStore, NeededUntil } from '../../core/ports/instance-store.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'

/** A hash of announcements as JSON, by their ids. */
const ANNOUNCEMENTS = 'trimint:replicas'

/** A sorted set of key fingerprints, by the time until which the key is needed. */
const SIGNING_KEYS = 'trimint:signing-keys'

/** Creates a store that keeps announcements in Redis. */
export function createRedisInstanceStore(client: RedisClient): InstanceStore {
  async function noteNeeds(neededUntil: NeededUntil): Promise<void> {
    if (neededUntil.size === 0) return
    const members = [...neededUntil].map(([value, score]) => ({ value, score }))
    await client.zAdd(SIGNING_KEYS, members, { comparison: 'GT' })
  }

  return {
    announce: (announcement, neededUntil) =>
      withTimeout(async () => {
        const announced = client.hSet(ANNOUNCEMENTS, announcement.id, JSON.stringify(announcement))
        await Promise.all([announced, noteNeeds(neededUntil)])
      }),
    leave: (id, neededUntil) =>
      withTimeout(async () => {
        await Promise.all([client.hDel(ANNOUNCEMENTS, id), noteNeeds(neededUntil)])
      }),
    running: (now) =>
      withTimeout(async () => {
        const announcements = (await client.hVals(ANNOUNCEMENTS)).map((text) => JSON.parse(text) as Announcement)
        return announcements.filter(({ expires }) => expires > now)
      }),
    neededUntil: () =>
      withTimeout(async () => {
        const members = await client.zRangeWithScores(SIGNING_KEYS, 0, -1)
        return new Map(members.map(({ value, score }) => [value, score]))
      }),
    sweep: (now) => withTimeout(() => client.sweepInstances(ANNOUNCEMENTS, SIGNING_KEYS, now, now - RETENTION_MS)),
    close: () => closeRedisClient(client),
  }
}
