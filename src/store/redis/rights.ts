import type { RedisClient } from './client.ts'

/** Every command that the stores send or their scripts call, with a key of each name. */
export const COMMANDS: readonly (readonly string[])[] = [
  ['EVAL', 'return 1', '1', 'trimint:record:'],
  ['EVALSHA', '0'.repeat(40), '1', 'trimint:uses:'],
  ['GET', 'trimint:record:'],
  ['SET', 'trimint:session:', ''],
  ['DEL', 'trimint:fence'],
  ['PEXPIRE', 'trimint:failures:', '1'],
  ['INCR', 'trimint:uses:'],
  ['EXISTS', 'trimint:reserve'],
  ['SETRANGE', 'trimint:reserve', '0', ''],
  ['HGET', 'trimint:anonymous', ''],
  ['HSET', 'trimint:replicas', '', ''],
  ['HDEL', 'trimint:replicas', ''],
  ['HINCRBY', 'trimint:failures:', '', '1'],
  ['HKEYS', 'trimint:anonymous'],
  ['HVALS', 'trimint:replicas'],
  ['HGETALL', 'trimint:failures:'],
  ['ZADD', 'trimint:signing-keys', '1', ''],
  ['ZREM', 'trimint:failures-by-end', ''],
  ['ZRANGE', 'trimint:failures-blocks', '0', '0'],
  ['XADD', 'trimint:revocations', '*', '', ''],
  ['XDEL', 'trimint:revocations', '0-1'],
  ['XRANGE', 'trimint:revocations', '-', '+'],
  ['HSET', 'trimint:revocations-by-subject', '', ''],
  ['ZADD', 'trimint:revocations-by-end', '1', ''],
  ['SET', 'trimint:last-use:', ''],
  ['HMGET', 'trimint:credentials', ''],
  ['HSET', 'trimint:credentials', '', ''],
  ['HSCAN', 'trimint:credentials', '0'],
  ['ZADD', 'trimint:credentials-of:', '1', ''],
  ['TIME'],
]

/** Thrown where Redis refuses the user or one of its commands. Waiting does not help. */
class RightsError extends Error {
  override readonly name = 'RightsError'
}

/**
 * Checks that the user may send every command that the stores need. Redis checks rights when it queues a command of a
 * transaction, so none of the commands is executed.
 *
 * @throws RightsError that names the missing rights.
 */
export async function requireRights(client: RedisClient): Promise<void> {
  if (await isRefused(client, ['MULTI'])) throw missingRights([['MULTI']])
  const commands = [...COMMANDS, ['DISCARD']]
  const refused = await Promise.all(commands.map((words) => isRefused(client, words)))
  const missing = commands.filter((_, at) => refused[at])
  if (missing.length > 0) throw missingRights(missing)
}

/** Tells whether Redis refuses a command because of the user's rights. Other errors do not matter here. */
async function isRefused(client: RedisClient, words: readonly string[]): Promise<boolean> {
  try {
    await client.sendCommand(words)
    return false
  } catch (error) {
    return isRightsError(error)
  }
}

function missingRights(commands: readonly (readonly string[])[]): RightsError {
  const names = commands.map((words) => [words[0], ...words.filter((word) => word.startsWith('trimint:'))].join(' '))
  return new RightsError(`the Redis user lacks the rights to: ${names.join(', ')} (docs/scaling.md lists all)`)
}

/** Tells whether Redis refuses the user, its password or a command of its. */
export function isRightsError(error: unknown): boolean {
  return error instanceof Error && (error instanceof RightsError || /^(NOPERM|NOAUTH|WRONGPASS)\b/.test(error.message))
}
