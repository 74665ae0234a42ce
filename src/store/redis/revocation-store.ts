import { REVOCATIONS_PER_PAGE, type RevocationStore } from '../../core/ports/revocation-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'

/** A stream. Its ids are times, so they increase even after the server has lost entries. */
const REVOCATIONS = 'trimint:revocations'

/** A sorted set of the stream's ids, by expiry. */
const BY_EXPIRY = 'trimint:revocations-by-end'

/**
 * Creates a store that keeps revocations in Redis. A cursor is the id of the last entry read, and is valid for one
 * connection: after a reconnect the server may be one that lost entries and has assigned smaller ids.
 */
export function createRedisRevocationStore(client: RedisClient): RevocationStore {
  let connections = 0
  client.on('ready', () => {
    connections += 1
  })

  return {
    add: ({ subject, issuedUntil, expires }) =>
      withTimeout(() => client.addRevocation(REVOCATIONS, BY_EXPIRY, subject, issuedUntil, expires)),
    since: (cursor) =>
      withTimeout(async () => {
        const current = String(connections)
        const [connection, last] = cursor?.split(' ') ?? []
        const start = connection === current ? `(${last}` : '-'
        const entries = (await client.xRange(REVOCATIONS, start, '+', { COUNT: REVOCATIONS_PER_PAGE })) ?? []
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
    sweep: (now) =>
      sweepAll(() =>
        withTimeout(async () => {
          const LIMIT = { offset: 0, count: SWEEP_STEP }
          const expired = await client.zRange(BY_EXPIRY, '-inf', now, { BY: 'SCORE', LIMIT })
          if (expired.length > 0) {
            await Promise.all([client.xDel(REVOCATIONS, expired), client.zRem(BY_EXPIRY, expired)])
          }
          return expired.length
        }),
      ),
    close: () => closeRedisClient(client),
  }
}
