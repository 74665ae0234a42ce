import { REVOCATIONS_PER_PAGE, type RevocationStore } from '../../core/ports/revocation-store.ts'
import { SWEEP_STEP, sweepAll } from '../sweep.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'
import { defineRedisScript } from './script.ts'

/** A stream: its ids go up whatever becomes of its entries, and are times, so that they go up after a loss too. */
const REVOCATIONS = 'trimint:revocations'

/** The ids of its entries by their end. */
const BY_END = 'trimint:revocations-by-end'

/** KEYS: the stream, the ids by their end. ARGV: subject, issuedUntil, expires. */
const add = defineRedisScript(`
local id = redis.call('XADD', KEYS[1], '*', 'subject', ARGV[1], 'issuedUntil', ARGV[2], 'expires', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[3], id)`)

/**
 * Keeps revocations in Redis. Its cursor is the id of the last one, and good for one connection only: behind a new one there may
 * be a server that has lost some and given ids that are smaller.
 */
export function createRedisRevocationStore(client: RedisClient): RevocationStore {
  let connections = 0
  client.on('ready', () => {
    connections += 1
  })

  return {
    add: ({ subject, issuedUntil, expires }) =>
      withTimeout(async () => void (await add(client, [REVOCATIONS, BY_END], subject, issuedUntil, expires))),
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
          const ended = await client.zRange(BY_END, '-inf', now, { BY: 'SCORE', LIMIT })
          if (ended.length > 0) await Promise.all([client.xDel(REVOCATIONS, ended), client.zRem(BY_END, ended)])
          return ended.length
        }),
      ),
    close: () => closeRedisClient(client),
  }
}
