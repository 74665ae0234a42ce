import type { Configuration } from '../config/schema.ts'
import { createKeyring, fingerprintOf, type Key, liveKeys } from '../core/crypto/keyring.ts'
import { environmentOf, formatIssues, loadAsServer } from './configuration.ts'
import { type Instances, readInstances } from './instances.ts'
import { CommandError, type CommandIo } from './io.ts'

/**
 * Prints a line for each configured key: what it does, which replicas have it, and when it can be removed. Prints the keys also where
 * the store cannot be read, and then fails.
 */
export async function listKeys(io: CommandIo): Promise<void> {
  const loaded = loadAsServer(io, environmentOf(io))
  if ('issues' in loaded) throw new CommandError(formatIssues(loaded.issues))
  const { keys } = loaded.configuration
  const keyring = createKeyring(keys)
  const { replicas, failure } = await tryReadInstances(io, loaded.configuration)
  if (!replicas && !failure)
    io.stderr.write('the store is in the memory of the server: this command cannot see its replicas\n')

  const now = io.clock()
  const live = liveKeys(keyring, now)
  for (const [index, key] of keyring.entries()) {
    const created = keys[index]?.created
    const state = !live.includes(key) ? 'expired' : key === live[0] ? 'signs' : 'verifies'
    const columns = [key.id, `created ${created === undefined ? 'unknown' : toIso(created)}`, state]
    if (replicas) columns.push(describeReplicas(key, replicas), describeEnd(key, state, replicas, now))
    io.stdout.write(`${columns.join('  ')}\n`)
  }
  if (failure) throw failure
}

interface Reading {
  readonly replicas?: Instances | undefined
  readonly failure?: CommandError
}

async function tryReadInstances(io: CommandIo, configuration: Configuration): Promise<Reading> {
  try {
    return { replicas: await readInstances(io, configuration) }
  } catch (error) {
    if (error instanceof CommandError) return { failure: error }
    throw error
  }
}

function describeReplicas(key: Key, { instances, lacking }: Instances): string {
  return `known to ${instances.size - lacking(fingerprintOf(key)).size} of ${instances.size} running replicas`
}

function describeEnd(
  key: Key,
  state: string,
  { instances, lacking, signing, neededUntil }: Instances,
  now: number,
): string {
  const fingerprint = fingerprintOf(key)
  if (state === 'signs') return 'in use'
  const users = signing(fingerprint).size
  if (users > 0) return `still signs in ${users} of ${instances.size}`
  const until = Math.min(neededUntil.get(fingerprint) ?? Number.POSITIVE_INFINITY, key.notAfter)
  const isKnown = neededUntil.has(fingerprint) || state === 'expired'
  if (isKnown) return `can go ${until <= now ? 'since' : 'after'} ${toIso(until)}`
  return lacking(fingerprint).size < instances.size ? 'not seen signing' : 'never announced'
}

function toIso(time: number): string {
  return new Date(time).toISOString()
}
