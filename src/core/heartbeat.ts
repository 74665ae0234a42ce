import type { Clock } from './clock.ts'
import { fingerprintOf, type Keyring, liveKeys } from './crypto/keyring.ts'
import type { InstanceStore } from './ports/instance-store.ts'

/** Milliseconds for which an announcement holds: longer than a few of them that fail. */
export const HEARTBEAT_TTL_MS = 15_000

/** A process, whichever configuration is in force in it. */
export interface Instance {
  readonly id: string
  /** By fingerprint, until when a key is needed (milliseconds since the epoch), as far as the store does not know it yet. */
  readonly owed: Map<string, number>
  /** An id for what it announces under one more configuration. */
  nextAnnouncementId(): string
}

/** @param id random. */
export function createInstance(id: string): Instance {
  let configurations = 0
  return { id, owed: new Map(), nextAnnouncementId: () => `${id}/${++configurations}` }
}

/** Tells all others which keys a process has under one configuration, and until when those that it signs with are needed. */
export interface Heartbeat {
  /** @throws Error when the store cannot be told; what it has missed goes along with the next one. */
  announce(): Promise<void>
  /** Takes it all back, for good. Throws in the same way. */
  leave(): Promise<void>
}

export interface HeartbeatDependencies {
  readonly store: InstanceStore
  readonly instance: Instance
  readonly keyring: Keyring
  /** Seconds: no token that is signed under this configuration lives longer. */
  readonly lifetime: number
  readonly clock: Clock
}

export function createHeartbeat({ store, instance, keyring, lifetime, clock }: HeartbeatDependencies): Heartbeat {
  const id = instance.nextAnnouncementId()
  let telling: Promise<void> | undefined
  let hasLeft = false

  /** Notes what is signed from now on, until the next announcement. */
  function noteSigner(keys: readonly string[], now: number): void {
    const [signer] = keys
    if (signer === undefined) return
    const until = now + lifetime * 1000 + HEARTBEAT_TTL_MS
    instance.owed.set(signer, Math.max(until, instance.owed.get(signer) ?? 0))
  }

  async function tell(step: (owed: ReadonlyMap<string, number>) => Promise<void>): Promise<void> {
    const owed = new Map(instance.owed)
    await step(owed)
    // Under another configuration of this process, more may have been noted meanwhile.
    for (const [key, until] of owed) if (instance.owed.get(key) === until) instance.owed.delete(key)
  }

  function liveFingerprints(now: number): string[] {
    return liveKeys(keyring, now).map(fingerprintOf)
  }

  function announceNow(): Promise<void> {
    const now = clock()
    const keys = liveFingerprints(now)
    noteSigner(keys, now)
    return tell((owed) => store.announce({ id, instance: instance.id, keys, expires: now + HEARTBEAT_TTL_MS }, owed))
  }

  return {
    announce() {
      // Behind a goodbye, an announcement would bring back to life what is gone.
      if (hasLeft) return Promise.resolve()
      telling ??= announceNow().finally(() => {
        telling = undefined
      })
      return telling
    },
    async leave() {
      hasLeft = true
      await telling?.catch(() => undefined)
      const now = clock()
      // What is still under way may sign.
      noteSigner(liveFingerprints(now), now)
      await tell((owed) => store.leave(id, owed))
    },
  }
}
