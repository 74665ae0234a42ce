import type { Clock } from './clock.ts'
import type { FailedAttemptStore, FailureCount } from './ports/failed-attempt-store.ts'

/** When the guard blocks, and for how long. */
export interface GuardSettings {
  /** Wrong passwords for an account from one address that lead to a block. */
  readonly accountFailures: number
  /** Wrong machine secrets from one address that lead to a block. */
  readonly addressFailures: number
  /** Seconds after the first failure in which failures add up. */
  readonly window: number
  /** Seconds that a block lasts. */
  readonly block: number
}

/** An attempt to authenticate. */
export interface Attempt {
  /** A network of `clientNetwork` (address.ts). */
  readonly address: string
  /** The account whose password is checked; undefined for the secret of a machine. */
  readonly account?: string | undefined
}

export interface Guard {
  /** Returns for how many more milliseconds an attempt is blocked; 0 if it is not. */
  blockedFor(attempt: Attempt): number
  /** Counts a failure towards every block that it contributes to. Resolves once the store has it or has failed. */
  fail(attempt: Attempt): Promise<void>
  /** Forgets the failures of this account from this address. */
  succeed(attempt: Attempt): void
  /** Reads the counts of other processes, and the blocks that an operator has lifted. */
  refresh(): Promise<void>
}

/** Failures from all addresses together block an account at `accountFailures` times this factor. */
const GLOBAL_LIMIT_FACTOR = 10

/** How many counts memory holds. A refresh reads them in a few milliseconds. */
const MAX_COUNTS = 2_000

interface Scope {
  readonly key: string
  readonly limit: number
}

/** Returns the counts that an attempt contributes to. `trimint guard list` shows their keys. */
function scopesOf({ address, account }: Attempt, settings: GuardSettings): Scope[] {
  if (account === undefined) return [{ key: `address ${address}`, limit: settings.addressFailures }]
  return [
    { key: accountKey(account, address), limit: settings.accountFailures },
    { key: accountKey(account), limit: settings.accountFailures * GLOBAL_LIMIT_FACTOR },
  ]
}

function accountKey(account: string, address = 'everywhere'): string {
  return `account ${account} from ${address}`
}

/** Tells whether a listed count is a block. */
export function isBlock({ key, failures }: FailureCount, settings: GuardSettings): boolean {
  if (key.startsWith('address ')) return failures >= settings.addressFailures
  return failures >= settings.accountFailures * (key.endsWith(' from everywhere') ? GLOBAL_LIMIT_FACTOR : 1)
}

/** The counts of a process. They survive a change of settings and an outage of the store. */
export interface GuardMemory {
  counts: Map<string, FailureCount>
}

export interface GuardDependencies {
  readonly settings: GuardSettings
  readonly memory: GuardMemory
  readonly store: FailedAttemptStore
  readonly clock: Clock
  /** Called when a block begins. */
  readonly onBlock: (key: string) => void
  /** Called with every error of the store. */
  readonly onStoreError: (error: unknown) => void
}

/**
 * Creates a guard that blocks password guessing. It decides from memory and counts failures in the store, where other
 * processes see them with their next {@link Guard.refresh}. While the store is unavailable, failures count in this
 * process only.
 */
export function createGuard({ settings, memory, store, clock, onBlock, onStoreError }: GuardDependencies): Guard {
  const windowMs = settings.window * 1000
  const blockMs = settings.block * 1000

  function running(key: string, now: number): FailureCount | undefined {
    const count = memory.counts.get(key)
    return count && now < count.expires ? count : undefined
  }

  function remaining({ key, limit }: Scope, now: number): number {
    const count = running(key, now)
    return count && count.failures >= limit ? count.expires - now : 0
  }

  function blockedFor(attempt: Attempt): number {
    if (memory.counts.size === 0) return 0
    const now = clock()
    return Math.max(...scopesOf(attempt, settings).map((scope) => remaining(scope, now)))
  }

  async function count({ key, limit }: Scope, now: number): Promise<void> {
    // Memory first: concurrent attempts see the failure before the store has answered.
    const before = running(key, now)
    const failures = (before?.failures ?? 0) + 1
    remember({ key, failures, expires: failures >= limit ? now + blockMs : (before?.expires ?? now + windowMs) })
    if (failures === limit) onBlock(key)
    try {
      const stored = await store.add(key, windowMs, now)
      const blocks = stored.failures >= limit
      if (blocks) await store.extend(key, now + blockMs, now)
      // This process may have counted more failures in memory during the step.
      const counted = Math.max(stored.failures, running(key, now)?.failures ?? 0)
      remember({ key, failures: counted, expires: blocks ? now + blockMs : stored.expires })
    } catch (error) {
      onStoreError(error)
    }
  }

  function remember(count: FailureCount): void {
    memory.counts.delete(count.key)
    memory.counts.set(count.key, count)
    if (memory.counts.size <= MAX_COUNTS) return
    // Evict the oldest, but blocks last: otherwise a client could evict a block by inventing names.
    const [oldest = count] = memory.counts.values()
    const evicted = memory.counts.values().find((candidate) => !isBlock(candidate, settings)) ?? oldest
    memory.counts.delete(evicted.key)
  }

  let refreshing = false

  return {
    blockedFor,

    async fail(attempt) {
      // Otherwise a blocked client could extend its block for ever.
      if (blockedFor(attempt) > 0) return
      const now = clock()
      await Promise.all(scopesOf(attempt, settings).map((scope) => count(scope, now)))
    },

    succeed({ address, account }) {
      if (account === undefined) return
      const key = accountKey(account, address)
      if (memory.counts.delete(key)) store.remove(key, settings.accountFailures).catch(onStoreError)
    },

    async refresh() {
      if (refreshing) return
      refreshing = true
      try {
        const listed = await store.list(clock(), MAX_COUNTS)
        memory.counts = new Map(listed.map((entry) => [entry.key, entry]))
      } catch (error) {
        onStoreError(error)
      } finally {
        refreshing = false
      }
    },
  }
}

/** The guard for a configuration without one: never blocks. */
export const noGuard: Guard = {
  blockedFor: () => 0,
  fail: async () => undefined,
  succeed: () => undefined,
  refresh: async () => undefined,
}
