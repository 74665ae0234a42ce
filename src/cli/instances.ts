import { type Configuration, isInMemory } from '../config/schema.ts'
import type { NeededUntil } from '../core/ports/instance-store.ts'
import type { CommandIo } from './io.ts'
import { withStores } from './store.ts'

/** The processes that are running on a store, as far as they have told it. */
export interface Instances {
  readonly instances: ReadonlySet<string>
  /** The instances in which a key is not live, by its fingerprint. */
  lacking(fingerprint: string): ReadonlySet<string>
  /** Those that sign with it. */
  signing(fingerprint: string): ReadonlySet<string>
  readonly neededUntil: NeededUntil
}

/** Looks at the store; undefined where that is in the memory of a server. */
export async function readInstances(io: CommandIo, configuration: Configuration): Promise<Instances | undefined> {
  if (isInMemory(configuration)) return undefined
  return withStores(io, async ({ replicas }) => {
    const announcements = await replicas.running(io.clock())
    const those = (fits: (keys: readonly string[]) => boolean): ReadonlySet<string> =>
      new Set(announcements.filter(({ keys }) => fits(keys)).map(({ instance }) => instance))
    return {
      instances: those(() => true),
      // One that is between two configurations has the keys that are in both.
      lacking: (fingerprint) => those((keys) => !keys.includes(fingerprint)),
      signing: (fingerprint) => those(([signer]) => signer === fingerprint),
      neededUntil: await replicas.neededUntil(),
    }
  })
}
