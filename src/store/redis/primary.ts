import type { RedisClient } from './client.ts'
import { withReserve } from './reserve.ts'

/** A key that never exists. Deleting it is a write that changes nothing and that Redis accepts without free memory. */
const FENCE_KEY = 'trimint:fence'

/** A key whose expiry is changed before each wait for replicas. Without such waits it does not exist. */
const BEAT_KEY = 'trimint:beat'
const BEAT_LIFETIME_MS = 86_400_000

/** Less than a step's time limit, so that its error says what is missing. */
const REPLICATION_TIMEOUT_MS = 700

/** More than a server has. */
const MAX_REPLICAS = 1_000
const COUNT_TIMEOUT_MS = 100

/** Thrown for a server that is not the primary, or does not remain it. */
export class NotPrimaryError extends Error {
  override readonly name = 'NotPrimaryError'
}

class NotReplicatedError extends Error {
  override readonly name = 'NotReplicatedError'
}

/**
 * Asks a server for its role.
 *
 * HELLO instead of ROLE: every user may send it, whatever its rights (redis.io/commands/hello).
 *
 * @throws NotPrimaryError for a replica: it lacks the latest writes, and may have been the primary before.
 */
export async function requirePrimary(client: RedisClient): Promise<void> {
  const { role } = await client.hello()
  if (String(role) !== 'master') throw new NotPrimaryError(`Redis is a ${String(role)}; expected the primary`)
}

/** Returns the error for a server in use while another one is the primary. */
export function replacedError(): Error {
  return new NotPrimaryError('Redis has been replaced by another server')
}

/**
 * Writes nothing, as a write. A server that rejects it may have been replaced as the primary, so what is read from it
 * beside this step may be stale.
 *
 * @throws Error, where {@link isFromUnusableServer}, unless the server accepts writes.
 */
export async function requireWritable(client: RedisClient): Promise<void> {
  await client.del(FENCE_KEY)
}

/**
 * Waits until replicas have everything that the server has written so far.
 *
 * The wait follows a write on the same connection, because Redis waits only for what the connection itself has written.
 * Changing the expiry of a key is a write that Redis accepts without free memory.
 *
 * @throws NotReplicatedError where fewer replicas have confirmed it in time. The writes may still take effect.
 */
export async function requireReplicated(client: RedisClient, replicas: number): Promise<void> {
  const [isKnown, confirmed] = await Promise.all([
    client.pExpire(BEAT_KEY, BEAT_LIFETIME_MS),
    client.wait(replicas, REPLICATION_TIMEOUT_MS),
  ])
  if (!isKnown) {
    await withReserve(client, () => setBeat(client))
    return requireReplicated(client, replicas)
  }
  if (confirmed >= replicas) return
  const found = `${confirmed} of ${replicas} replicas have`
  throw new NotReplicatedError(`${found} confirmed a write within ${REPLICATION_TIMEOUT_MS} ms`)
}

function setBeat(client: RedisClient): Promise<unknown> {
  return client.set(BEAT_KEY, '', { expiration: { type: 'PX', value: BEAT_LIFETIME_MS } })
}

/**
 * The replies of a server that is not the primary, or no longer, or not yet; that cannot write to its disk; that has
 * lost its replicas (`min-replicas-to-write`); that became a replica while a write waited for one (UNBLOCKED); or that
 * does not have the slot in a Cluster. Another server may be the primary by now.
 */
const UNUSABLE = /^(READONLY|MASTERDOWN|LOADING|MISCONF|NOREPLICAS|UNBLOCKED|MOVED|CLUSTERDOWN)\b/

/** Tells whether an error means that the server must not be used, and its address has to be looked up again. */
export function isFromUnusableServer(error: unknown): boolean {
  if (error instanceof NotPrimaryError || error instanceof NotReplicatedError) return true
  return error instanceof Error && UNUSABLE.test(error.message)
}

/** Returns how many replicas confirm, within 100 ms, what the server has written so far. */
export async function countReplicas(client: RedisClient): Promise<number> {
  const [, confirmed] = await Promise.all([setBeat(client), client.wait(MAX_REPLICAS, COUNT_TIMEOUT_MS)])
  return confirmed
}
