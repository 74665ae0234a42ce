import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { openDatabase, pauseThread } from './database.ts'
import type { WriterThreadData } from './open-writer.ts'
import { prepareOperations } from './operations.ts'
import { createTransactions } from './transaction.ts'
import type { Batch, Reply } from './writer.ts'

// The thread with the writing connection of a store. An uncaught error, such as a failed sync, ends it and the store.

/** Calls that share a transaction at most: beyond that, the first of them would wait too long. */
const MAX_CALLS = 256

const LOCK_PAUSE_MS = 1

const port = parentPort
if (!port) throw new Error('this module is the entry of a worker thread')
const { path, create, refusedUpTo } = workerData as WriterThreadData
const database = openDatabase(path, { create })
const transactions = createTransactions(database, prepareOperations(database))
let waiting: Batch[] = []
let isClosing = false

port.on('message', (message) => {
  accept(message)
  acceptMore()
  while (waiting.length > 0) {
    if (!commitWaiting()) pauseThread(LOCK_PAUSE_MS)
    acceptMore()
  }
  if (!isClosing) return
  database.close()
  port.close()
})
port.postMessage('ready')

function accept(message: Batch | 'close'): void {
  if (message === 'close') isClosing = true
  else if (message.isRead) reply([{ id: message.id, outcomes: message.calls.map(transactions.read) }])
  else waiting.push(message)
}

/** Accepts what has arrived meanwhile: reads need not wait for a lock, and writes share the next transaction. */
function acceptMore(): void {
  for (let received = receiveMessageOnPort(port as never); received; received = receiveMessageOnPort(port as never)) {
    accept(received.message)
  }
}

/** Returns false while another process has the write lock. */
function commitWaiting(): boolean {
  dropRefused()
  if (waiting.length === 0) return true
  let group: Batch[] = []
  const outcomes = transactions.write(() => {
    dropRefused()
    group = waiting.splice(0, countBatches())
    return group.flatMap(({ calls }) => calls)
  })
  if (!outcomes) return false
  let at = 0
  const replies = group.map(({ id, calls }) => {
    at += calls.length
    return { id, outcomes: outcomes.slice(at - calls.length, at) }
  })
  reply(replies)
  return true
}

/** Drops batches that have timed out: their calls were rejected. */
function dropRefused(): void {
  const refused = Number(Atomics.load(refusedUpTo, 0))
  if (refused > 0) waiting = waiting.filter(({ id }) => id > refused)
}

/** Returns how many of the waiting batches share the next transaction: at least one. */
function countBatches(): number {
  let calls = 0
  const first = waiting.findIndex((batch) => {
    calls += batch.calls.length
    return calls > MAX_CALLS
  })
  return first === -1 ? waiting.length : Math.max(first, 1)
}

function reply(replies: readonly Reply[]): void {
  if (replies.length > 0) port?.postMessage(replies)
}
