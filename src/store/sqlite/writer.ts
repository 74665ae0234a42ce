import { setImmediate as endOfTurn } from 'node:timers/promises'
import { afterMicrotasks } from '../after-microtasks.ts'
import { startDeadline } from '../deadline.ts'
import type { Call, Outcome } from './calls.ts'

/** Calls that were made in one callback of the event loop. */
export interface Batch {
  readonly id: number
  readonly isRead: boolean
  readonly calls: readonly Call[]
}

export interface Reply {
  readonly id: number
  /** One for each call. */
  readonly outcomes: readonly Outcome[]
}

/** The only access to the writing connection. */
export interface Writer {
  /** Performs a call in a transaction that it shares with others. Resolves once SQLite has synced the commit. */
  write(call: Call): Promise<unknown>
  /**
   * Performs a call that only reads. Those of one callback of the event loop share a message to the thread and one back:
   * under load a FIDO authentication takes 30 % less processor time.
   */
  read(call: Call): Promise<unknown>
  /** Throws once the writer is closed or has failed. */
  assertUsable(): void
  /** Rejects later calls, and waits for earlier ones. */
  settle(): Promise<void>
  /** Settles, and releases the connection. */
  close(): Promise<void>
}

export interface WriterOptions {
  /** Called once, with the failed sync after which every call rejects. */
  readonly onFatal: (error: Error) => void
  /** Milliseconds after which a call rejects that was not answered. */
  readonly timeoutMs: number
  /** Whether to create a missing file and to migrate one of an older version. */
  readonly create: boolean
}

/** How a writer reaches the connection. */
export interface Link {
  send(batch: Batch): void
  /** Prevents a refused write from starting. */
  refuse(id: number): void
  close(): Promise<void>
}

type Kind = 'read' | 'write'

interface GatheredCalls {
  readonly calls: Call[]
  readonly callers: PromiseWithResolvers<unknown>[]
}

interface Pending {
  readonly callers: readonly PromiseWithResolvers<unknown>[]
  /** Stops the deadline. */
  readonly stop: () => void
}

/** Creates a writer. The caller passes replies of the connection to `receive`, and its failure to `fail`. */
export function createWriter({ onFatal, timeoutMs }: WriterOptions, link: Link) {
  const pending = new Map<number, Pending>()
  /** Writes that have waited for three quarters of the timeout. Until they are answered, further ones are rejected. */
  const late = new Set<number>()
  let lastId = 0
  /** Calls of this callback of the event loop. */
  const gathered: Record<Kind, GatheredCalls | undefined> = { read: undefined, write: undefined }
  /** Why every call rejects from now on. */
  let rejection: Error | undefined
  let hasFailed = false
  let closing: Promise<void> | undefined

  function write(call: Call): Promise<unknown> {
    if (rejection) return Promise.reject(rejection)
    if (late.size > 0) return Promise.reject(new Error('the store is too slow; no further writes until it answers'))
    return gather('write', call)
  }

  function read(call: Call): Promise<unknown> {
    return rejection ? Promise.reject(rejection) : gather('read', call)
  }

  function gather(kind: Kind, call: Call): Promise<unknown> {
    if (!gathered[kind]) afterMicrotasks(() => sendGathered(kind))
    gathered[kind] ??= { calls: [], callers: [] }
    const caller = Promise.withResolvers<unknown>()
    gathered[kind].calls.push(call)
    gathered[kind].callers.push(caller)
    return caller.promise
  }

  function sendGathered(kind: Kind): void {
    const { calls, callers } = gathered[kind] ?? { calls: [], callers: [] }
    gathered[kind] = undefined
    send(calls, callers, kind === 'read')
  }

  function send(calls: readonly Call[], callers: Pending['callers'], isRead: boolean): void {
    if (hasFailed) {
      for (const { reject } of callers) reject(rejection)
      return
    }
    lastId += 1
    const id = lastId
    const stop = startDeadline(timeoutMs, {
      onExpiry: () => refuse(id),
      onLate() {
        // Reads do not wait for the lock that delays writes.
        if (!isRead) late.add(id)
      },
    })
    pending.set(id, { callers, stop })
    link.send({ id, isRead, calls })
  }

  function refuse(id: number): void {
    const callers = take(id)
    if (callers.length === 0) return
    link.refuse(id)
    for (const { reject } of callers) reject(new Error(`the store did not answer within ${timeoutMs} ms`))
  }

  function receive({ id, outcomes }: Reply): void {
    for (const [at, { resolve, reject }] of take(id).entries()) {
      const outcome = outcomes[at]
      if (outcome && 'value' in outcome) resolve(outcome.value)
      else reject(outcome?.error)
    }
  }

  /** Returns the callers of a batch that is still pending. */
  function take(id: number): Pending['callers'] {
    const batch = pending.get(id)
    if (!batch) return []
    batch.stop()
    late.delete(id)
    pending.delete(id)
    return batch.callers
  }

  function fail(error: Error): void {
    hasFailed = true
    rejection = error
    for (const id of [...pending.keys()]) for (const { reject } of take(id)) reject(error)
    onFatal(error)
  }

  async function settle(): Promise<void> {
    rejection ??= new Error('the store is closed')
    while (gathered.read || gathered.write || pending.size > 0) await endOfTurn()
  }

  async function close(): Promise<void> {
    await settle()
    await link.close()
  }

  const writer: Writer = {
    write,
    read,
    assertUsable() {
      if (rejection) throw rejection
    },
    settle,
    close() {
      closing ??= close()
      return closing
    },
  }
  return { writer, receive, fail }
}
