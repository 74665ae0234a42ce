import type { Clock } from './clock.ts'
import type { FailedAttemptStore, FailureCount } from './ports/failed-attempt-store.ts'

/** When guessing is cut off. */
export interface GuardSettings {
  /** Wrong passwords for an account from one address. */
  readonly accountFailures: number
  /** Wrong machine secrets from one address. */
  readonly addressFailures: number
  /** Seconds in which failures add up. */
  readonly window: number
  /** Seconds that a block lasts. */
  readonly block: number
}

/** Who is guessing at what. */
export interface Attempt {
  /** An address or, with IPv6, a network: see address.ts. */
  readonly address: string
  /** The account whose password is given; none for the secret of a machine. */
  readonly account?: string | undefined
}

export interface Guard {
  /** Milliseconds until this attempt may be made; 0 when it may be made now. */
  blockedFor(attempt: Attempt): number
  /** Counts a failure, wherever it adds up. Resolves once it is in the store, or at once while the store is away. */
  fail(attempt: Attempt): Promise<void>
  /** Forgets the failures of this account at this address, and nothing else. */
  succeed(attempt: Attempt): void
  /** Takes over what other processes have counted, and what an operator has lifted. */
  refresh(): Promise<void>
}

/** People's failures from all addresses together count up to this many times `accountFailures` (design: Guard). */
const GLOBAL_LIMIT_FACTOR = 10

/** How many counts a process keeps in mind at most: what a refresh reads in a few milliseconds. */
const MAX_COUNTS = 2_000

interface Scope {
  readonly key: string
  readonly limit: number
}

/** What an attempt counts towards. The keys are what `trimint guard list` shows. */
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

/** Whether a listed count is a block. */
export function isBlock({ key, failures }: FailureCount, settings: GuardSettings): boolean {
  if (key.startsWith('address ')) return failures >= settings.addressFailures
  return failures >= settings.accountFailures * (key.endsWith(' from everywhere') ? GLOBAL_LIMIT_FACTOR : 1)
}

/** What a process has counted: it outlives the settings, and a store that is away. */
export interface GuardMemory {
  counts: Map<string, FailureCount>
}

export interface GuardDependencies {
  readonly settings: GuardSettings
  readonly memory: GuardMemory
  readonly store: FailedAttemptStore
  readonly clock: Clock
  /** Told of every block that begins. */
  readonly onBlock: (key: string) => void
  /** Told of every step that the store did not take. */
  readonly onStoreError: (error: unknown) => void
}

/**
 * Cuts off guessing. Every decision is made from memory, so it costs a look-up; failures are counted in the store, where
 * other processes see them with their next {@link Guard.refresh}. While the store is away they count in this process.
 */
export function createGuard({ settings, memory, store, clock, onBlock, onStoreError }: GuardDependencies): Guard {
  const window = settings.window * 1000
  const block = settings.block * 1000

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
    // In memory first: attempts that are under way at the same time see it before the store has answered.
    const before = running(key, now)
    const failures = (before?.failures ?? 0) + 1
    remember({ key, failures, expires: failures >= limit ? now + block : (before?.expires ?? now + window) })
    if (failures === limit) onBlock(key)
    try {
      const stored = await store.add(key, window, now)
      const blocks = stored.failures >= limit
      if (blocks) await store.extend(key, now + block, now)
      // Others of this process may have been counted in memory while the store was counting this one.
      const counted = Math.max(stored.failures, running(key, now)?.failures ?? 0)
      remember({ key, failures: counted, expires: blocks ? now + block : stored.expires })
    } catch (error) {
      onStoreError(error)
    }
  }

  function remember(count: FailureCount): void {
    memory.counts.delete(count.key)
    memory.counts.set(count.key, count)
    if (memory.counts.size <= MAX_COUNTS) return
    // The oldest goes, but a block last: or whoever can invent names could push it out.
    const [oldest = count] = memory.counts.values()
    const dispensable = memory.counts.values().find((candidate) => !isBlock(candidate, settings)) ?? oldest
    memory.counts.delete(dispensable.key)
  }

  let refreshing = false

  return {
    blockedFor,

    async fail(attempt) {
      // A failure inside a block changes nothing, or the one who is blocked could keep it up for ever.
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

/** What stands in for a guard that is switched off. */
export const noGuard: Guard = {
  blockedFor: () => 0,
  fail: async () => undefined,
  succeed: () => undefined,
  refresh: async () => undefined,
}
