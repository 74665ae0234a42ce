import { once } from 'node:events'
import { extname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as endOfTurn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterMicrotasks } from '../after-microtasks.ts'
import { startDeadline } from '../deadline.ts'
import type { Call, Outcome } from './calls.ts'
import { createTransactions } from './transaction.ts'

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

export interface WriterThreadData {
  readonly path: string
  readonly create: boolean
  /** Holds the highest id of a batch that was refused. The thread starts no writes up to it. */
  readonly refusedUpTo: BigInt64Array<SharedArrayBuffer>
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
interface Link {
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

/**
 * Opens a file on a thread, so that waiting for the disk and for locks does not block the event loop.
 *
 * @throws Error for a file that cannot be opened.
 */
export async function openThreadWriter(path: string, options: WriterOptions): Promise<Writer> {
  const refusedUpTo = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT))
  const workerData: WriterThreadData = { path, create: options.create, refusedUpTo }
  // The sources are TypeScript, a package is JavaScript.
  const script = new URL(`./writer-thread${extname(import.meta.url)}`, import.meta.url)
  const thread = new Worker(script, { workerData })
  const exited = new Promise((resolve) => thread.once('exit', resolve))
  await once(thread, 'message')
  const { writer, receive, fail } = createWriter(options, {
    send: (batch) => thread.postMessage(batch),
    refuse: (id) => void Atomics.store(refusedUpTo, 0, BigInt(id)),
    async close() {
      thread.postMessage('close')
      await exited
    },
  })
  thread.on('message', (replies: readonly Reply[]) => {
    for (const reply of replies) receive(reply)
  })
  thread.on('error', fail)
  return writer
}

/** Uses a connection on this thread: for a database in memory. */
export function createLocalWriter(
  database: DatabaseSync,
  perform: (call: Call) => unknown,
  options: WriterOptions,
): Writer {
  const transactions = createTransactions(database, perform)
  const { writer, receive, fail } = createWriter(options, {
    send({ id, isRead, calls }) {
      try {
        const outcomes = isRead ? calls.map(transactions.read) : transactions.write(() => calls)
        // Without an outcome another connection has a lock, and the timeout rejects.
        if (outcomes) receive({ id, outcomes })
      } catch (error) {
        fail(error as Error)
      }
    },
    refuse: () => undefined,
    async close() {
      if (database.isOpen) database.close()
    },
  })
  return writer
}

function createWriter({ onFatal, timeoutMs }: WriterOptions, link: Link) {
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
