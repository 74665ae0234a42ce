import cluster from 'node:cluster'
import { setTimeout as sleep } from 'node:timers/promises'
import { tellOperator } from '../tell-operator.ts'
import { forwardLines, type LineDestination } from './log-forwarding.ts'
import type { PrimaryMessage, Snapshot, WorkerMessage } from './messages.ts'

/** After this time, a worker's previous snapshot is used. */
const SNAPSHOT_TIMEOUT_MS = 3_000

export type Announcement = Extract<WorkerMessage, { type: 'listening' }>

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A worker, as the primary sees it. */
export interface WorkerHandle {
  readonly id: number
  /** Resolves to what it serves once it listens, or to undefined if it exits first. */
  readonly listening: Promise<Announcement | undefined>
  readonly exited: Promise<Exit>
  /** Resolves once its whole log has been forwarded. */
  readonly closed: Promise<void>
  isListening(): boolean
  /** Returns its latest snapshot. */
  snapshot(): Snapshot
  /** Asks for a new snapshot; returns false when it does not answer in time. */
  collect(): Promise<boolean>
  /** Delivers the message of a broadcast; resolves to the answer, or to null if it exits first. */
  deliver(message: unknown): Promise<unknown>
  send(message: PrimaryMessage): void
  kill(): void
}

/** Sets how workers are started: with this process's command line, and their output in pipes. */
export function setUpWorkers(): void {
  // Without round robin, the kernel gives most connections to few processes.
  cluster.schedulingPolicy = cluster.SCHED_RR
  // Not 'inherit': a child makes what it inherits blocking for this process too, and a write that blocks delays an exit.
  cluster.setupPrimary({ stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
}

/** Called with what a worker asks of the primary. */
export interface WorkerRequests {
  /** The worker asks for the metrics of all workers. */
  onRender(worker: WorkerHandle): void
  /** The worker sends a message to all workers. */
  onBroadcast(worker: WorkerHandle, id: number, message: unknown): void
}

/** Starts a worker. */
export function startWorker(
  environment: Readonly<Record<string, string>>,
  log: LineDestination,
  { onRender, onBroadcast }: WorkerRequests,
): WorkerHandle {
  const worker = cluster.fork(environment)
  const child = worker.process
  if (child.stdout) forwardLines(child.stdout, log)
  child.stderr?.on('data', (chunk) => tellOperator(String(chunk)))
  const exited = Promise.withResolvers<Exit>()
  const closed = Promise.withResolvers<void>()
  const announced = Promise.withResolvers<Announcement>()
  let isListening = false
  let snapshot: Snapshot = []
  let collecting: PromiseWithResolvers<boolean> | undefined
  const deliveries = new Map<number, (answer: unknown) => void>()
  let deliveryCount = 0

  const handle: WorkerHandle = {
    id: worker.id,
    listening: Promise.race([announced.promise, exited.promise.then(() => undefined)]),
    exited: exited.promise,
    closed: closed.promise,
    isListening: () => isListening,
    snapshot: () => snapshot,
    async collect() {
      if (!collecting) {
        collecting = Promise.withResolvers()
        handle.send({ type: 'collect' })
      }
      const deadline = new AbortController()
      const timedOut = sleep(SNAPSHOT_TIMEOUT_MS, false, { signal: deadline.signal }).catch(() => false)
      const isAnswered = await Promise.race([collecting.promise, exited.promise.then(() => false), timedOut])
      deadline.abort()
      return isAnswered
    },
    deliver(message) {
      deliveryCount += 1
      const id = deliveryCount
      const answered = new Promise((resolve) => deliveries.set(id, resolve))
      handle.send({ type: 'deliver', id, message })
      return Promise.race([answered, exited.promise.then(() => null)])
    },
    send(message) {
      // A worker that is about to exit receives nothing; its exit is handled elsewhere.
      if (worker.isConnected()) worker.send(message, undefined, undefined, () => undefined)
    },
    kill: () => void child.kill('SIGKILL'),
  }

  worker.on('message', (message: WorkerMessage) => {
    if (message.type === 'render') onRender(handle)
    else if (message.type === 'snapshot') {
      snapshot = message.snapshot
      collecting?.resolve(true)
      collecting = undefined
    } else if (message.type === 'listening') {
      isListening = true
      announced.resolve(message)
    } else if (message.type === 'broadcast') onBroadcast(handle, message.id, message.message)
    else if (message.type === 'delivered') {
      deliveries.get(message.id)?.(message.answer)
      deliveries.delete(message.id)
    }
  })
  child.once('exit', (code, signal) => exited.resolve({ code, signal }))
  child.once('close', (code, signal) => {
    // A process that could not be started emits no 'exit'.
    exited.resolve({ code, signal })
    closed.resolve()
  })
  // The channel to a process that is gone emits errors.
  worker.on('error', () => undefined)
  return handle
}
