import type { RedisAddress } from '../../core/ports/redis-url.ts'
import type { RedisConnection } from './connection.ts'
import { countReplicas } from './primary.ts'
import { isRefusal } from './refusal.ts'
import type { Topology } from './topology.ts'

/**
 * Returns a sentence for each property of the servers with which they can lose acknowledged writes, or stop accepting
 * writes. What the user has no right to ask is left out.
 */
export async function findDurabilityWarnings(
  { topology, replicas: needed }: RedisAddress,
  { warnings: findSilentServers }: Pick<Topology, 'warnings'>,
  connection: RedisConnection,
): Promise<string[]> {
  const warnings = (await findSilentServers()).map((server) => `no answer from ${server}`)
  const replicas = await connection.run(countReplicas).catch((error) => {
    if (isRefusal(error)) return undefined
    throw error
  })
  if (topology !== 'single' && replicas === 0) warnings.push('the primary has no replica that could replace it')
  if (needed > 0 && replicas === needed) warnings.push(`wait=${needed}: the loss of a replica stops all writes`)
  if (needed > 0 && replicas !== undefined && replicas > needed) {
    warnings.push(
      `wait=${needed}: a fail-over to one of the other replicas (${replicas} in total) loses the last writes`,
    )
  }
  if (needed === 0 && (topology !== 'single' || (replicas ?? 0) > 0)) {
    warnings.push('without ?wait=1, a fail-over loses the last writes')
  }
  return warnings
}
