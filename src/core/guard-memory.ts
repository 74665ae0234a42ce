import type { FailureCount } from './ports/failed-attempt-store.ts'

/** How many counts that are no blocks memory holds. Its oldest ones are forgotten first. */
export const MAX_COUNTS = 2_000

/** How many blocks memory holds. An attacker needs as many addresses or accounts to displace the oldest one. */
export const MAX_BLOCKS = 10_000

export interface RememberedCount extends FailureCount {
  /** Whether it contains failures that the store did not record. */
  readonly isUnsaved?: boolean | undefined
}

/** The counts of a process. They survive a change of settings and an outage of the store. */
export interface GuardMemory {
  readonly isEmpty: boolean
  get(key: string): RememberedCount | undefined
  /** Counts never displace blocks. */
  set(count: RememberedCount, isBlock: boolean): void
  /** Returns what it deleted. */
  delete(key: string): RememberedCount | undefined
  /**
   * Replaces the counts by those that the store lists, the newest first. Keeps a running count with unsaved failures,
   * unless the store knows more.
   */
  replace(listed: readonly FailureCount[], now: number, isBlock: (count: FailureCount) => boolean): void
}

export function createGuardMemory(): GuardMemory {
  let blocks = new Map<string, RememberedCount>()
  let counts = new Map<string, RememberedCount>()

  const get = (key: string): RememberedCount | undefined => blocks.get(key) ?? counts.get(key)

  function set(count: RememberedCount, isBlock: boolean): void {
    blocks.delete(count.key)
    counts.delete(count.key)
    const [kept, limit] = isBlock ? [blocks, MAX_BLOCKS] : [counts, MAX_COUNTS]
    kept.set(count.key, count)
    if (kept.size <= limit) return
    const [oldest = count.key] = kept.keys()
    kept.delete(oldest)
  }

  return {
    get isEmpty() {
      return blocks.size === 0 && counts.size === 0
    },
    get,
    set,
    delete(key) {
      const deleted = get(key)
      blocks.delete(key)
      counts.delete(key)
      return deleted
    },
    replace(listed, now, isBlock) {
      const unsaved = [...blocks.values(), ...counts.values()].filter((count) => count.isUnsaved && now < count.expires)
      blocks = new Map()
      counts = new Map()
      for (const count of listed.toReversed()) set(count, isBlock(count))
      for (const count of unsaved) {
        if ((get(count.key)?.failures ?? 0) < count.failures) set(count, isBlock(count))
      }
    },
  }
}
