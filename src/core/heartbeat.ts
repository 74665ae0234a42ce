import type { Clock } from './clock.ts'
import { fingerprintOf, type Keyring, liveKeys } from './crypto/keyring.ts'
import type { InstanceStore } from './ports/instance-store.ts'

/** How long an announcement is valid: longer than a few failed heartbeats. */
export const HEARTBEAT_TTL_MS = 15_000

/** A running process. It outlives each of its configurations. */
export interface Instance {
  readonly id: string
  /**
   * Until when each signing key is needed (milliseconds since the epoch), by fingerprint. Holds what is not stored yet.
   */
  readonly unreported: Map<string, number>
  /** Returns an id for the announcements of one more configuration. */
  nextAnnouncementId(): string
}

/** Creates an instance. @param id random. */
export function createInstance(id: string): Instance {
  let configurations = 0
  return { id, unreported: new Map(), nextAnnouncementId: () => `${id}/${++configurations}` }
}

/** Announces to other instances which keys this one holds under a configuration, and until when they are needed. */
export interface Heartbeat {
  /** @throws Error when the store fails; the next heartbeat then reports it again. */
  announce(): Promise<void>
  /** Withdraws the announcement for good. @throws Error as {@link announce}. */
  leave(): Promise<void>
}

export interface HeartbeatDependencies {
  readonly store: InstanceStore
  readonly instance: Instance
  readonly keyring: Keyring
  /** The longest lifetime of tokens that this configuration signs. */
  readonly lifetimeSeconds: number
  readonly clock: Clock
}

export function createHeartbeat({
  store,
  instance,
  keyring,
  lifetimeSeconds,
  clock,
}: HeartbeatDependencies): Heartbeat {
  const id = instance.nextAnnouncementId()
  let announcing: Promise<void> | undefined
  let hasLeft = false

  /** Records until when a token that is signed before the next heartbeat can live. */
  function noteSigner(keys: readonly string[], now: number): void {
    const [signer] = keys
    if (signer === undefined) return
    const neededUntil = now + lifetimeSeconds * 1000 + HEARTBEAT_TTL_MS
    instance.unreported.set(signer, Math.max(neededUntil, instance.unreported.get(signer) ?? 0))
  }

  async function report(step: (neededUntil: ReadonlyMap<string, number>) => Promise<void>): Promise<void> {
    const neededUntil = new Map(instance.unreported)
    await step(neededUntil)
    // Another configuration of this instance may have noted a later time during the step.
    for (const [key, until] of neededUntil) {
      if (instance.unreported.get(key) === until) instance.unreported.delete(key)
    }
  }

  function liveFingerprints(now: number): string[] {
    return liveKeys(keyring, now).map(fingerprintOf)
  }

  function announceNow(): Promise<void> {
    const now = clock()
    const keys = liveFingerprints(now)
    noteSigner(keys, now)
    const announcement = { id, instance: instance.id, keys, expires: now + HEARTBEAT_TTL_MS }
    return report((neededUntil) => store.announce(announcement, neededUntil))
  }

  return {
    async announce() {
      // An announcement after leave() would outlive this configuration.
      if (hasLeft) return
      announcing ??= announceNow().finally(() => {
        announcing = undefined
      })
      await announcing
    },
    async leave() {
      hasLeft = true
      await announcing?.catch(() => undefined)
      const now = clock()
      // Requests in progress may still sign.
      noteSigner(liveFingerprints(now), now)
      await report((neededUntil) => store.leave(id, neededUntil))
    },
  }
}
