import type { Entry } from './entry.ts'

/** The last requests of one process. */
export interface Journal {
  add(entry: Entry): void
  /** Returns the entries, the newest first. */
  entries(): Entry[]
  clear(): void
  /** Calls a listener for each further entry; returns a function that ends it. */
  follow(listener: (entry: Entry) => void): () => void
}

/** @param size how many entries it keeps; 0 for none. */
export function createJournal(size: number): Journal {
  let entries: Entry[] = []
  /** Where the next entry goes once the journal is full. */
  let next = 0
  const listeners = new Set<(entry: Entry) => void>()

  return {
    add(entry) {
      if (size > 0) {
        entries[next] = entry
        next = (next + 1) % size
      }
      for (const listener of listeners) listener(entry)
    },
    entries: () => [...entries.slice(next), ...entries.slice(0, next)].reverse(),
    clear() {
      entries = []
      next = 0
    },
    follow(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
