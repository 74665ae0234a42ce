import type { RedisClient } from './client.ts'

/** A key that never exists. Deleting it is a write that changes nothing and that Redis accepts without free memory. */
const FENCE_KEY = 'trimint:fence'

class NotPrimaryError extends Error {
  override readonly name = 'NotPrimaryError'
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
 * The replies of a server that is not the primary, or no longer, or not yet; that cannot write to its disk; or that has
 * lost its replicas (`min-replicas-to-write`). Another server may be the primary by now.
 */
const UNUSABLE = /^(READONLY|MASTERDOWN|LOADING|MISCONF|NOREPLICAS)\b/

/** Tells whether an error means that the server must not be used, and its address has to be looked up again. */
export function isFromUnusableServer(error: unknown): boolean {
  return error instanceof NotPrimaryError || (error instanceof Error && UNUSABLE.test(error.message))
}
