import type { DatabaseSync } from 'node:sqlite'
import type { Announcement, InstanceStore, NeededUntil } from '../../core/ports/instance-store.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import type { Connections } from './calls.ts'

interface Row {
  readonly id: string
  readonly instance: string
  /** JSON. */
  readonly keys: string
  readonly expires: number
}

/** Prepares the writes of {@link createSqliteInstanceStore}. */
export function prepareInstanceWrites(database: DatabaseSync) {
  const announce = database.prepare(
    `INSERT INTO replicas (id, instance, keys, expires) VALUES ($id, $instance, $keys, $expires)
     ON CONFLICT (id) DO UPDATE SET keys = excluded.keys, expires = excluded.expires`,
  )
  const need = database.prepare(
    `INSERT INTO signing_keys (fingerprint, needed_until) VALUES ($fingerprint, $until)
     ON CONFLICT (fingerprint) DO UPDATE SET needed_until = max(needed_until, excluded.needed_until)`,
  )
  const leave = database.prepare('DELETE FROM replicas WHERE id = $id')
  const sweepReplicas = database.prepare('DELETE FROM replicas WHERE expires <= $now')
  const sweepKeys = database.prepare(
    `DELETE FROM signing_keys WHERE needed_until <= $cutoff
     AND fingerprint NOT IN (SELECT value FROM replicas, json_each(replicas.keys))`,
  )

  function noteNeeds(needs: NeededUntil): void {
    for (const [fingerprint, until] of needs) need.run({ fingerprint, until })
  }

  return {
    announce({ id, instance, keys, expires }: Announcement, needs: NeededUntil): void {
      announce.run({ id, instance, keys: JSON.stringify(keys), expires })
      noteNeeds(needs)
    },
    leave(id: string, needs: NeededUntil): void {
      leave.run({ id })
      noteNeeds(needs)
    },
    sweep(now: number): void {
      sweepReplicas.run({ now })
      sweepKeys.run({ cutoff: now - RETENTION_MS })
    },
  }
}

/** Keeps announcements of instances in SQLite. */
export function createSqliteInstanceStore({
  reader,
  write,
}: Connections<ReturnType<typeof prepareInstanceWrites>>): Omit<InstanceStore, 'close'> {
  const running = reader.prepare('SELECT id, instance, keys, expires FROM replicas WHERE expires > $now ORDER BY id')
  const neededUntil = reader.prepare('SELECT fingerprint, needed_until AS until FROM signing_keys')

  return {
    announce: (announcement, needs) => write('announce', announcement, needs),
    leave: (id, needs) => write('leave', id, needs),
    running: (now) => reader.run(() => (running.all({ now }) as unknown as Row[]).map(toAnnouncement)),
    neededUntil: () =>
      reader.run(() => {
        const rows = neededUntil.all() as unknown as { fingerprint: string; until: number }[]
        return new Map(rows.map(({ fingerprint, until }) => [fingerprint, until]))
      }),
    sweep: (now) => write('sweep', now),
  }
}

function toAnnouncement({ id, instance, keys, expires }: Row): Announcement {
  return { id, instance, keys: JSON.parse(keys) as string[], expires }
}
