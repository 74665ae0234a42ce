import { REVOCATIONS_PER_PAGE, type RevocationStore } from '../../core/ports/revocation-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import type { RedisConnection } from './connection.ts'
import { requireWritable } from './primary.ts'
import { withReserve } from './reserve.ts'
import type { RevocationKeys } from './scripts.ts'

const KEYS: RevocationKeys = {
  /** A stream with one entry for each subject. Its ids are times, so they increase even after the server has lost entries. */
  stream: 'trimint:revocations',
  /** A sorted set of the stream's ids, by expiry. */
  byExpiry: 'trimint:revocations-by-end',
  /** A hash of the stream's ids, by subject. */
  bySubject: 'trimint:revocations-by-subject',
}

/**
 * Creates a store that keeps revocations in Redis. A cursor is the id of the last entry read, and is valid for one connection: after
 * a reconnect the server may be one that lost entries and has assigned smaller ids. Revoking a subject again replaces its entry by one
 * with a new id, which readers that have passed the old one see.
 */
export function createRedisRevocationStore(connection: RedisConnection): RevocationStore {
  return {
    add: ({ subject, issuedUntil, expires }) =>
      connection.write((client) =>
        withReserve(client, () => client.addRevocation(KEYS, subject, issuedUntil, expires)),
      ),
    since: (cursor) =>
      // A write: also a server that its replicas have left would go on answering reads.
      connection.write(async (client, connectionId) => {
        const current = String(connectionId)
        const [ofConnection, last] = cursor?.split(' ') ?? []
        const start = ofConnection === current ? `(${last}` : '-'
        const read = client.xRange(KEYS.stream, start, '+', { COUNT: REVOCATIONS_PER_PAGE })
        // A server that no longer is the primary would go on answering reads, with old data.
        const [found] = await Promise.all([read, requireWritable(client)])
        const entries = found ?? []
        const end = entries.at(-1)?.id
        return {
          revocations: entries.map(({ message: { subject = '', issuedUntil, expires } }) => ({
            subject,
            issuedUntil: Number(issuedUntil),
            expires: Number(expires),
          })),
          cursor: end === undefined ? cursor : `${current} ${end}`,
          complete: entries.length < REVOCATIONS_PER_PAGE,
        }
      }),
    sweep: (time) => sweepAll(() => connection.run((client) => client.sweepRevocations(KEYS, time, SWEEP_STEP))),
    close: () => connection.close(),
  }
}
