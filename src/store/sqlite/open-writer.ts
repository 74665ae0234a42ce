import { once } from 'node:events'
import { extname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import type { Call } from './calls.ts'
import { createTransactions } from './transaction.ts'
import { createWriter, type Reply, type Writer, type WriterOptions } from './writer.ts'

export interface WriterThreadData {
  readonly path: string
  readonly create: boolean
  /** Holds the highest id of a batch that was refused. The thread starts no writes up to it. */
  readonly refusedUpTo: BigInt64Array<SharedArrayBuffer>
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
