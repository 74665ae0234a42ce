import type { Announcement, InstanceStore, NeededUntil } from '../../core/ports/instance-store.ts'
import { RETENTION_MS } from '../../core/ports/retention.ts'
import type { Row, Statement } from './connection.ts'
import type { Primary } from './primary.ts'

const NOTE_NEEDS = `INSERT INTO trimint_signing_keys AS known (fingerprint, needed_until)
    SELECT fingerprint, until FROM json_to_recordset($1) AS needs(fingerprint text, until bigint) ORDER BY fingerprint
    ON CONFLICT (fingerprint) DO UPDATE SET needed_until = greatest(known.needed_until, excluded.needed_until)`

const ANNOUNCE: Statement = {
  name: 'announce',
  text: `WITH needs AS (${NOTE_NEEDS})
    INSERT INTO trimint_announcements (id, instance, keys, expires) VALUES ($2, $3, $4, $5)
    ON CONFLICT (id) DO UPDATE SET keys = excluded.keys, expires = excluded.expires`,
}

const LEAVE: Statement = {
  name: 'leave',
  text: `WITH needs AS (${NOTE_NEEDS}) DELETE FROM trimint_announcements WHERE id = $2`,
}

const RUNNING: Statement = {
  name: 'running',
  text: 'SELECT id, instance, keys, expires FROM trimint_announcements WHERE expires > $1 ORDER BY id',
}

const NEEDED_UNTIL: Statement = {
  name: 'needed-until',
  text: 'SELECT fingerprint, needed_until AS until FROM trimint_signing_keys',
}

const SWEEP_ANNOUNCEMENTS: Statement = {
  name: 'sweep-announcements',
  text: 'DELETE FROM trimint_announcements WHERE expires <= $1',
}

const SWEEP_KEYS: Statement = {
  name: 'sweep-keys',
  text: `DELETE FROM trimint_signing_keys WHERE needed_until <= $1
    AND fingerprint NOT IN (SELECT json_array_elements_text(keys::json) FROM trimint_announcements)`,
}

/** Keeps announcements of instances in PostgreSQL. */
export function createPostgresInstanceStore({ run }: Pick<Primary, 'run'>): Omit<InstanceStore, 'close'> {
  return {
    async announce({ id, instance, keys, expires }, needs) {
      await run(ANNOUNCE, [toInput(needs), id, instance, JSON.stringify(keys), expires])
    },
    async leave(id, needs) {
      await run(LEAVE, [toInput(needs), id])
    },
    async running(now) {
      return (await run(RUNNING, [now])).map(toAnnouncement)
    },
    async neededUntil() {
      const rows = await run(NEEDED_UNTIL, [])
      return new Map(rows.map(({ fingerprint, until }) => [String(fingerprint), Number(until)]))
    },
    async sweep(now) {
      await run(SWEEP_ANNOUNCEMENTS, [now])
      await run(SWEEP_KEYS, [now - RETENTION_MS])
    },
  }
}

function toInput(needs: NeededUntil): string {
  return JSON.stringify([...needs].map(([fingerprint, until]) => ({ fingerprint, until })))
}

function toAnnouncement({ id, instance, keys, expires }: Row): Announcement {
  return {
    id: String(id),
    instance: String(instance),
    keys: JSON.parse(String(keys)) as string[],
    expires: Number(expires),
  }
}
