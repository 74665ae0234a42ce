import type { Announcement, InstanceStore, NeededUntil } from '../../core/ports/instance-store.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import type { RedisClient } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { ensureReserve } from './reserve.ts'

/** A hash of announcements as JSON, by their ids. */
const ANNOUNCEMENTS = 'trimint:replicas'

/** A sorted set of key fingerprints, by the time until which the key is needed. */
const SIGNING_KEYS = 'trimint:signing-keys'

/** Creates a store that keeps announcements in Redis. */
export function createRedisInstanceStore(connection: RedisConnection): InstanceStore {
  async function noteNeeds(client: RedisClient, neededUntil: NeededUntil): Promise<void> {
    if (neededUntil.size === 0) return
    const members = [...neededUntil].map(([value, score]) => ({ value, score }))
    await client.zAdd(SIGNING_KEYS, members, { comparison: 'GT' })
  }

  return {
    announce: (announcement, neededUntil) =>
      connection.write(async (client) => {
        // Announcements show whether Redis can be written, so they take no room that is kept for revocations.
        await ensureReserve(client)
        const announced = client.hSet(ANNOUNCEMENTS, announcement.id, JSON.stringify(announcement))
        await Promise.all([announced, noteNeeds(client, neededUntil)])
      }),
    leave: (id, neededUntil) =>
      connection.write(async (client) => {
        await Promise.all([client.hDel(ANNOUNCEMENTS, id), noteNeeds(client, neededUntil)])
      }),
    running: (now) =>
      connection.run(async (client) => {
        const announcements = (await client.hVals(ANNOUNCEMENTS)).map((text) => JSON.parse(text) as Announcement)
        return announcements.filter(({ expires }) => expires > now)
      }),
    neededUntil: () =>
      connection.run(async (client) => {
        const members = await client.zRangeWithScores(SIGNING_KEYS, 0, -1)
        return new Map(members.map(({ value, score }) => [value, score]))
      }),
    sweep: (now) =>
      connection.run((client) => client.sweepInstances(ANNOUNCEMENTS, SIGNING_KEYS, now, now - RETENTION_MS)),
    close: () => connection.close(),
  }
}
