import type { Clock } from './clock.ts'
import { type GuardMemory, MAX_BLOCKS, MAX_COUNTS, type RememberedCount } from './guard-memory.ts'
import {
  type Attempt,
  accountScope,
  type GuardSettings,
  isBlock,
  passwordsScope,
  type Scope,
  scopesOf,
} from './guard-scopes.ts'
import type { FailedAttemptStore, FailureCount } from './ports/failed-attempt-store.ts'

export interface Guard {
  /** Returns for how many more milliseconds an attempt is blocked; 0 if it is not. */
  blockedFor(attempt: Attempt): number
  /**
   * Evaluates an attempt, but not while too many of its failures wait for the store: other processes cannot see those
   * yet. `evaluate` has to call {@link Guard.blockedFor} and {@link Guard.fail} before it waits for anything.
   */
  inTurn<Result>(attempt: Attempt, evaluate: () => Promise<Result>): Promise<Result>
  /**
   * Counts a failure towards every block that it contributes to. Resolves once the store has it or has failed.
   *
   * @returns whether the attempt was blocked already, which another process may know first.
   */
  fail(attempt: Attempt): Promise<boolean>
  /** Forgets the failures of this account from this address, in the count of the address too. */
  succeed(attempt: Attempt): void
  /** Reads the counts of other processes, and the blocks that an operator has lifted. */
  refresh(): Promise<void>
}

/**
 * The part of a limit that may wait for the store in one process. A guesser gains as much for each further process, at
 * least one guess.
 */
const MAX_UNCONFIRMED_SHARE = 1 / 20

export interface GuardDependencies {
  readonly settings: GuardSettings
  readonly memory: GuardMemory
  readonly store: FailedAttemptStore
  /** Jump-resistant: a wall clock that is wrong for a while would end every block. */
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
  /** The steps of the store that run, by the key of their count. */
  const steps = new Map<string, Set<Promise<boolean>>>()
  /** Accounts whose failures the store has yet to delete, once for each success. */
  const forgetting: string[] = []
  /** Accounts whose deleted failures the list that is being read may still contain. */
  let forgotten = new Set<string>()
  let isStoreAway = false
  let isRefreshing = false

  function running(key: string, now: number): RememberedCount | undefined {
    const count = memory.get(key)
    return count && now < count.expires ? count : undefined
  }

  function remaining({ key, limit }: Scope, now: number): number {
    const count = running(key, now)
    return count && count.failures >= limit ? count.expires - now : 0
  }

  function blockedFor(attempt: Attempt): number {
    if (memory.isEmpty) return 0
    const now = clock()
    return Math.max(...scopesOf(attempt, settings).map((scope) => remaining(scope, now)))
  }

  /** Returns a step that the attempt has to wait for, if there is one. */
  function findStepAhead(attempt: Attempt): Promise<unknown> | undefined {
    if (steps.size === 0 || isStoreAway) return undefined
    for (const { key, limit } of scopesOf(attempt, settings)) {
      const unconfirmed = steps.get(key)
      if (unconfirmed && unconfirmed.size >= Math.max(1, Math.floor(limit * MAX_UNCONFIRMED_SHARE))) {
        return Promise.race(unconfirmed)
      }
    }
    return undefined
  }

  function inTurn<Result>(attempt: Attempt, evaluate: () => Promise<Result>): Promise<Result> {
    const ahead = findStepAhead(attempt)
    return ahead ? ahead.then(() => inTurn(attempt, evaluate)) : evaluate()
  }

  function remember(count: RememberedCount, limit: number): void {
    memory.set(count, count.failures >= limit)
  }

  /** Returns whether the count was a block before this failure. */
  async function count(scope: Scope, now: number): Promise<boolean> {
    const { key, limit } = scope
    // Memory first: concurrent attempts see the failure before the store has answered.
    const before = running(key, now)
    const failures = (before?.failures ?? 0) + 1
    const expires = failures >= limit ? now + blockMs : (before?.expires ?? now + windowMs)
    remember({ ...before, key, failures, expires }, limit)

    const step = countInStore(scope, failures, now)
    const unconfirmed = steps.get(key) ?? new Set()
    steps.set(key, unconfirmed.add(step))
    try {
      return await step
    } finally {
      unconfirmed.delete(step)
      if (unconfirmed.size === 0) steps.delete(key)
    }
  }

  /** @param counted the failures in memory, with this one. */
  async function countInStore({ key, limit }: Scope, counted: number, now: number): Promise<boolean> {
    try {
      const stored = await store.add(key, windowMs, now)
      const begins = stored.failures === limit
      if (begins) await store.block(key, now + blockMs, now)
      isStoreAway = false
      // This process may have counted more failures in memory during the step, or while the store was away.
      const known = running(key, now)
      const isAhead = known !== undefined && known.failures > stored.failures
      const failures = isAhead ? known.failures : stored.failures
      const expires = begins ? now + blockMs : stored.expires
      remember({ key, failures, expires, isUnsaved: isAhead && known.isUnsaved }, limit)
      if (begins) onBlock(key)
      return stored.failures > limit
    } catch (error) {
      isStoreAway = true
      onStoreError(error)
      const known = running(key, now)
      if (known) remember({ ...known, isUnsaved: true }, limit)
      if (counted === limit) onBlock(key)
      return false
    }
  }

  /** Takes the failures of an account out of the count of its address. */
  async function takeBack(account: Scope, ofAddress: Scope, failures: number): Promise<void> {
    const now = clock()
    const known = running(ofAddress.key, now)
    if (known && known.failures < ofAddress.limit) {
      remember({ ...known, failures: Math.max(0, known.failures - failures) }, ofAddress.limit)
    }
    forgotten.add(account.key)
    forgetting.push(account.key)
    try {
      const removed = await store.remove(account.key, account.limit)
      if (removed > 0) await store.subtract(ofAddress.key, removed, ofAddress.limit)
    } catch (error) {
      onStoreError(error)
    } finally {
      forgetting.splice(forgetting.indexOf(account.key), 1)
    }
  }

  return {
    blockedFor,
    inTurn,

    async fail(attempt) {
      // Otherwise a blocked client could extend its block for ever.
      if (blockedFor(attempt) > 0) return true
      const now = clock()
      const wereBlocks = await Promise.all(scopesOf(attempt, settings).map((scope) => count(scope, now)))
      return wereBlocks.includes(true)
    },

    succeed({ address, account }) {
      if (account === undefined) return
      const scope = accountScope(account, address, settings)
      const forgotten = memory.delete(scope.key)
      if (forgotten) void takeBack(scope, passwordsScope(address, settings), forgotten.failures)
    },

    async refresh() {
      if (isRefreshing) return
      isRefreshing = true
      try {
        const now = clock()
        forgotten = new Set(forgetting)
        const listed = await store.list(now, { blocks: MAX_BLOCKS, counts: MAX_COUNTS })
        const kept = [...forgotten].map((key) => running(key, now)).filter((count) => count !== undefined)
        const isBlocking = (count: FailureCount): boolean => isBlock(count, settings)
        // A success does not end a block.
        const current = listed.filter((count) => !forgotten.has(count.key) || isBlocking(count))
        memory.replace([...current, ...kept], now, isBlocking)
        isStoreAway = false
      } catch (error) {
        isStoreAway = true
        onStoreError(error)
      } finally {
        isRefreshing = false
      }
    },
  }
}

/** The guard for a configuration without one: never blocks. */
export const noGuard: Guard = {
  blockedFor: () => 0,
  inTurn: (_attempt, evaluate) => evaluate(),
  fail: async () => false,
  succeed: () => undefined,
  refresh: async () => undefined,
}
