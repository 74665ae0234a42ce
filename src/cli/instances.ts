import { type Configuration, isInMemory } from '../config/schema.ts'
import type { NeededUntil } from '../core/ports/instance-store.ts'
import type { CommandIo } from './io.ts'
import { withStores } from './store.ts'

/** The running processes that have announced themselves in the store. */
export interface Instances {
  readonly instances: ReadonlySet<string>
  /** Returns the instances in which a key, given by its fingerprint, is not live. */
  lacking(fingerprint: string): ReadonlySet<string>
  /** Returns the instances that sign with a key. */
  signing(fingerprint: string): ReadonlySet<string>
  readonly neededUntil: NeededUntil
}

/** Reads the instances from the store; undefined if the store is in the memory of a server. */
export async function readInstances(io: CommandIo, configuration: Configuration): Promise<Instances | undefined> {
  if (isInMemory(configuration)) return undefined
  return withStores(io, async ({ replicas }) => {
    const announcements = await replicas.running(io.clock())
    const those = (fits: (keys: readonly string[]) => boolean): ReadonlySet<string> =>
      new Set(announcements.filter(({ keys }) => fits(keys)).map(({ instance }) => instance))
    return {
      instances: those(() => true),
      // During a reload, an instance has the keys that are in both configurations.
      lacking: (fingerprint) => those((keys) => !keys.includes(fingerprint)),
      signing: (fingerprint) => those(([signer]) => signer === fingerprint),
      neededUntil: await replicas.neededUntil(),
    }
  })
}
