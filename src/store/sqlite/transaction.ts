import type { DatabaseSync } from 'node:sqlite'
import type { Call, Outcome } from './calls.ts'
import { isBusy, isSyncFailure } from './database.ts'

/**
 * Runs calls on the writing connection. Both functions throw after a failed sync: only SQLite's recovery can tell what
 * is durable, so the connection must not be used again.
 */
export interface Transactions {
  read(call: Call): Outcome
  /**
   * Takes the write lock, performs calls and commits them together. A call that fails leaves the others alone. When the
   * commit fails, all calls have failed.
   *
   * @param takeCalls is called once, with the lock taken.
   * @returns one outcome for each call; undefined while another process has the lock.
   */
  write(takeCalls: () => readonly Call[]): Outcome[] | undefined
}

/** @param perform performs a call, inside of a transaction when it writes. */
export function createTransactions(database: DatabaseSync, perform: (call: Call) => unknown): Transactions {
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  const savepoint = database.prepare('SAVEPOINT call')
  const release = database.prepare('RELEASE call')

  function tryBegin(): Error | undefined {
    try {
      begin.run()
      return undefined
    } catch (error) {
      return error as Error
    }
  }

  function fail(calls: readonly Call[], error: Error): Outcome[] {
    if (isSyncFailure(error)) throw error
    if (database.isTransaction) database.exec('ROLLBACK')
    return calls.map(() => ({ error }))
  }

  function write(call: Call): Outcome {
    savepoint.run()
    try {
      const value = perform(call)
      release.run()
      return { value }
    } catch (error) {
      // SQLite ends the whole transaction after a full disk or a failed read.
      if (isSyncFailure(error) || !database.isTransaction) throw error
      database.exec('ROLLBACK TO call; RELEASE call')
      return { error: error as Error }
    }
  }

  return {
    read(call) {
      try {
        return { value: perform(call) }
      } catch (error) {
        if (isSyncFailure(error)) throw error
        return { error: error as Error }
      }
    },
    write(takeCalls) {
      const beginError = tryBegin()
      if (isBusy(beginError)) return undefined
      const calls = takeCalls()
      if (beginError) return fail(calls, beginError)
      try {
        const outcomes = calls.map(write)
        commit.run()
        return outcomes
      } catch (error) {
        return fail(calls, error as Error)
      }
    },
  }
}
