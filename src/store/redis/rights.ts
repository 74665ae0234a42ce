import type { RedisAddress } from '../../core/ports/redis-url.ts'
import type { RedisClient } from './client.ts'
import { CLUSTER_KEY_PREFIX } from './cluster.ts'
import { isRefusal, RefusedError } from './refusal.ts'

/** With this the name of every key begins. */
const KEY_START = 'trimint:'

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

/** Commands that wait for replicas. */
export const REPLICATION_COMMANDS: readonly (readonly string[])[] = [
  ['PEXPIRE', 'trimint:beat', '1'],
  ['SET', 'trimint:beat', ''],
  ['WAIT', '1', '1'],
]

/**
 * Checks that the user may send every command that the stores need. Redis checks rights when it queues a command of a
 * transaction, so none of the commands is executed.
 *
 * @throws RefusedError that names the missing rights.
 */
export async function requireRights(
  client: RedisClient,
  { topology, replicas }: Pick<RedisAddress, 'topology' | 'replicas'>,
): Promise<void> {
  if (await isRefused(client, ['MULTI'])) throw missingRights([['MULTI']])
  const names = [...COMMANDS, ...(replicas > 0 ? REPLICATION_COMMANDS : [])]
  const commands = [...(topology === 'cluster' ? names.map(inCluster) : names), ['DISCARD']]
  const refused = await Promise.all(commands.map((words) => isRefused(client, words)))
  const missing = commands.filter((_, at) => refused[at])
  if (missing.length > 0) throw missingRights(missing)
}

function inCluster(words: readonly string[]): string[] {
  return words.map((word) => (word.startsWith(KEY_START) ? CLUSTER_KEY_PREFIX + word : word))
}

/** Tells whether Redis refuses a command because of the user's rights. Other errors do not matter here. */
async function isRefused(client: RedisClient, words: readonly string[]): Promise<boolean> {
  try {
    await client.sendCommand(words)
    return false
  } catch (error) {
    return isRefusal(error)
  }
}

function missingRights(commands: readonly (readonly string[])[]): RefusedError {
  const names = commands.map((words) => [words[0], ...words.filter((word) => word.includes(KEY_START))].join(' '))
  return new RefusedError(`the Redis user lacks the rights to: ${names.join(', ')} (docs/stores.md lists all)`)
}
