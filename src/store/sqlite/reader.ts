import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { isBusy } from './database.ts'

/** Reads on the event loop. A query sees all acknowledged commits, and waits neither for writers nor for the disk. */
export interface Reader {
  prepare(sql: string): StatementSync
  /** Runs a query, and repeats it while another process recovers the file. */
  run<Result>(query: () => Result): Promise<Result>
  close(): void
}

const RETRY_PAUSE_MS = 10

/**
 * @param assertUsable throws once the stores are closed or have failed.
 * @param timeoutMs milliseconds after which a query is not repeated any more.
 */
export function createReader(database: DatabaseSync, assertUsable: () => void, timeoutMs: number): Reader {
  return {
    prepare: (sql) => database.prepare(sql),
    async run(query) {
      for (let left = timeoutMs / RETRY_PAUSE_MS; ; left--) {
        assertUsable()
        try {
          return query()
        } catch (error) {
          if (!isBusy(error) || left <= 0) throw error
        }
        await sleep(RETRY_PAUSE_MS)
      }
    },
    close() {
      if (database.isOpen) database.close()
    },
  }
}
