import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises'
import { systemUptime } from '../../app/system-clock.ts'
import { afterMicrotasks } from '../after-microtasks.ts'
import { isBusy } from './database.ts'
import type { WriteAheadLog } from './write-ahead-log.ts'

/** How many steps share a transaction at most, so that none of them holds the event loop for long. */
const MAX_GROUP_SIZE = 256

/** How long a step waits for another process to let go of the file, in milliseconds. */
const STORE_TIMEOUT_MS = 800

/** Writes that are in one transaction, and what became of the step of each. */
interface Committed {
  readonly group: readonly Write[]
  readonly refusals: ReadonlyMap<Write, unknown>
  readonly results: readonly unknown[]
}

interface Write {
  /** When it came, by systemUptime. */
  readonly since: number
  readonly step: () => unknown
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Who wants to know of transactions: what is thrown at the beginning of one ends it. */
export interface TransactionListener {
  onBegin(): void
  onEnd(isCommitted: boolean): void
}

export interface GroupCommit {
  /** Takes a step that writes, in a transaction that it shares with others; its result comes when that is on the disk. */
  write<Result>(step: () => Result): Promise<Result>
  /** Waits until everything that has been given is on the disk or refused. */
  flush(): Promise<void>
}

/**
 * Commits writes together: those that come with one callback of the event loop, and those that come while the disk is busy with the ones
 * before, which takes more than ten times as long as the write itself. The transaction begins and ends within one synchronous piece of work,
 * so nothing else on this connection, and no other connection of this process, ever meets it half done.
 *
 * @param database a connection that does not wait by itself, neither for locks (`busy_timeout` 0) nor for the disk
 *   (`synchronous` NORMAL): that would stop the event loop.
 */
export function createGroupCommit(
  database: DatabaseSync,
  log: WriteAheadLog,
  listener?: TransactionListener,
): GroupCommit {
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  let queue: Write[] = []
  let draining: Promise<void> | undefined
  /** Whether the disk may have lost some of what was committed. */
  let isDoubtful = false

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      await new Promise<void>(afterMicrotasks)
      await bringToDisk(await commitWaiting())
    }
    draining = undefined
  }

  /** Commits what waits now, in as many transactions as that takes. */
  async function commitWaiting(): Promise<Committed[]> {
    const committed: Committed[] = []
    for (let left = queue.length; left > 0; left -= MAX_GROUP_SIZE) {
      try {
        const group = await retryWhileBusy(isDoubtful ? rescueAndCommit : commitGroup, queue[0]?.since)
        if (group) committed.push(group)
      } catch (error) {
        // There was no transaction at all: whoever waits for one is told.
        const refused = queue
        queue = []
        for (const { reject } of refused) reject(error)
        break
      }
      if (left > MAX_GROUP_SIZE) await endOfTurn()
    }
    return committed
  }

  function rescueAndCommit(): Committed | undefined {
    log.rescue(database)
    isDoubtful = false
    return commitGroup()
  }

  /**
   * Leaves the queue as it is where it cannot begin.
   *
   * @returns undefined where the whole group was refused.
   */
  function commitGroup(): Committed | undefined {
    begin.run()
    const group = queue.splice(0, MAX_GROUP_SIZE)
    const refusals = new Map<Write, unknown>()
    const results: unknown[] = []
    try {
      listener?.onBegin()
      for (const write of group) results.push(take(write, refusals))
      commit.run()
    } catch (error) {
      listener?.onEnd(false)
      // First, so that nobody waits for ever should undoing fail as well.
      for (const { reject } of group) reject(error)
      if (database.isTransaction) database.exec('ROLLBACK')
      return undefined
    }
    listener?.onEnd(true)
    return { group, refusals, results }
  }

  async function bringToDisk(committed: readonly Committed[]): Promise<void> {
    // Also where nothing is to be brought: others have their turn of the event loop in between.
    if (committed.length === 0) return endOfTurn()
    try {
      await log.sync()
    } catch (error) {
      isDoubtful = true
      for (const { group } of committed) for (const { reject } of group) reject(error)
      return
    }
    for (const group of committed) tell(group)
  }

  /** What became of their step. */
  function tell({ group, refusals, results }: Committed): void {
    for (const [index, write] of group.entries()) {
      if (refusals.has(write)) write.reject(refusals.get(write))
      else write.resolve(results[index])
    }
  }

  function take(write: Write, refusals: Map<Write, unknown>): unknown {
    try {
      return write.step()
    } catch (error) {
      // SQLite has undone the one statement, and the others can be committed. Where it could not (a full disk, a read or
      // write that failed), it has ended the transaction, and with it the whole group.
      if (!database.isTransaction) throw error
      refusals.set(write, error)
      return undefined
    }
  }

  return {
    write: <Result>(step: () => Result) =>
      new Promise<Result>((resolve, reject) => {
        queue.push({ since: systemUptime(), step, resolve: (result) => resolve(result as Result), reject })
        draining ??= drain()
      }),
    async flush() {
      while (draining) await draining
    },
  }
}

/**
 * Takes a step again while another process has the file locked, and lets the event loop go on meanwhile.
 *
 * @param since from when on whoever needs it has waited, by systemUptime.
 */
export async function retryWhileBusy<Result>(step: () => Result, since = systemUptime()): Promise<Result> {
  for (;;) {
    try {
      return step()
    } catch (error) {
      if (!isBusy(error) || systemUptime() - since > STORE_TIMEOUT_MS) throw error
    }
    await sleep(1)
  }
}
