import type { Announcement, InstanceStore, NeededUntil } from '../../core/ports/instance-store.ts'
import { RETENTION_MS } from '../../core/ports/token-store.ts'
import { openDatabase } from './database.ts'
import { createGroupCommit, retryWhileBusy } from './group-commit.ts'
import { openWriteAheadLog } from './write-ahead-log.ts'

interface Row {
  readonly id: string
  readonly instance: string
  /** JSON. */
  readonly keys: string
  readonly expires: number
}

/**
 * Keeps announcements in an SQLite file that several processes may share.
 *
 * @param path a file, or `:memory:`.
 */
export function openSqliteInstanceStore(path: string): InstanceStore {
  const database = openDatabase(path)
  // A key that nobody announces any more is on the disk, or it would seem needed for less long.
  database.exec('PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0')
  const log = openWriteAheadLog(path)
  const group = createGroupCommit(database, log)
  const announce = database.prepare(
    `INSERT INTO replicas (id, instance, keys, expires) VALUES ($id, $instance, $keys, $expires)
     ON CONFLICT (id) DO UPDATE SET keys = excluded.keys, expires = excluded.expires`,
  )
  const need = database.prepare(
    `INSERT INTO signing_keys (fingerprint, needed_until) VALUES ($fingerprint, $until)
     ON CONFLICT (fingerprint) DO UPDATE SET needed_until = max(needed_until, excluded.needed_until)`,
  )
  const leave = database.prepare('DELETE FROM replicas WHERE id = $id')
  const running = database.prepare('SELECT id, instance, keys, expires FROM replicas WHERE expires > $now ORDER BY id')
  const neededUntil = database.prepare('SELECT fingerprint, needed_until AS until FROM signing_keys')
  const sweepReplicas = database.prepare('DELETE FROM replicas WHERE expires <= $now')
  const sweepKeys = database.prepare(
    `DELETE FROM signing_keys WHERE needed_until <= $forgotten
     AND fingerprint NOT IN (SELECT value FROM replicas, json_each(replicas.keys))`,
  )

  function noteNeeds(needs: NeededUntil): void {
    for (const [fingerprint, until] of needs) need.run({ fingerprint, until })
  }

  return {
    announce: ({ id, instance, keys, expires }, needs) =>
      group.write(() => {
        announce.run({ id, instance, keys: JSON.stringify(keys), expires })
        noteNeeds(needs)
      }),
    leave: (id, needs) =>
      group.write(() => {
        leave.run({ id })
        noteNeeds(needs)
      }),
    running: (now) => retryWhileBusy(() => (running.all({ now }) as unknown as Row[]).map(toAnnouncement)),
    neededUntil: () =>
      retryWhileBusy(() => {
        const rows = neededUntil.all() as unknown as { fingerprint: string; until: number }[]
        return new Map(rows.map(({ fingerprint, until }) => [fingerprint, until]))
      }),
    sweep: (now) =>
      group.write(() => {
        sweepReplicas.run({ now })
        sweepKeys.run({ forgotten: now - RETENTION_MS })
      }),
    async close() {
      await group.flush()
      if (!database.isOpen) return
      database.close()
      log.close()
    },
  }
}

function toAnnouncement({ id, instance, keys, expires }: Row): Announcement {
  return { id, instance, keys: JSON.parse(keys) as string[], expires }
}
