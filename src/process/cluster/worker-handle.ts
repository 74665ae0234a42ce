import cluster from 'node:cluster'
import { handOnLines, type LineDestination } from './log-forwarding.ts'
import type { Order, Report, Snapshot } from './messages.ts'

/** Milliseconds that a worker has to say what it has counted; then what it said the last time is taken. */
const ANSWER_TIMEOUT = 3_000

/** What a worker says once it serves. */
export type Announcement = Extract<Report, { report: 'listening' }>

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One worker, as its parent sees it. */
export interface Member {
  readonly id: number
  /** What it serves, once it does; undefined where it has ended before. */
  readonly up: Promise<Announcement | undefined>
  readonly ended: Promise<Ending>
  /** All that it has logged is handed on. */
  readonly closed: Promise<void>
  isUp(): boolean
  /** What it had counted when it was last asked. */
  snapshot(): Snapshot
  /** Asks what it has counted: whether it has answered. */
  count(): Promise<boolean>
  /** Nothing but the end reaches one that is not up yet. */
  tell(order: Order): void
  kill(): void
}

/** How each worker is started: by this process's own command line, its log through a pipe. */
export function prepareMembers(): void {
  // Whoever is free gets the next connection. The kernel, left to itself, gives most of them to a few.
  cluster.schedulingPolicy = cluster.SCHED_RR
  cluster.setupPrimary({ stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
}

/** @param onAsked whenever it wants to know what all workers together have counted. */
export function startMember(
  environment: Readonly<Record<string, string>>,
  log: LineDestination,
  onAsked: (member: Member, question: number) => void,
): Member {
  const worker = cluster.fork(environment)
  const child = worker.process
  if (child.stdout) handOnLines(child.stdout, log)
  const ended = Promise.withResolvers<Ending>()
  const closed = Promise.withResolvers<void>()
  const announced = Promise.withResolvers<Announcement>()
  const unanswered = new Map<number, (isAnswered: boolean) => void>()
  let isUp = false
  let snapshot: Snapshot = []
  let questions = 0

  const member: Member = {
    id: worker.id,
    up: Promise.race([announced.promise, ended.promise.then(() => undefined)]),
    ended: ended.promise,
    closed: closed.promise,
    isUp: () => isUp,
    snapshot: () => snapshot,
    count() {
      questions += 1
      const question = questions
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const timer = setTimeout(resolve, ANSWER_TIMEOUT, false)
      unanswered.set(question, resolve)
      member.tell({ order: 'count', question })
      return promise.finally(() => {
        clearTimeout(timer)
        unanswered.delete(question)
      })
    },
    tell(order) {
      // One that is about to be gone hears nothing; its end is seen elsewhere.
      if (worker.isConnected()) worker.send(order, undefined, undefined, () => undefined)
    },
    kill: () => void child.kill('SIGKILL'),
  }

  worker.on('message', (report: Report) => {
    if (report.report === 'asked') onAsked(member, report.question)
    else if (report.report === 'counted') {
      snapshot = report.snapshot
      unanswered.get(report.question)?.(true)
    } else if (report.report === 'listening') {
      isUp = true
      announced.resolve(report)
    }
  })
  child.once('exit', (code, signal) => ended.resolve({ code, signal }))
  child.once('close', (code, signal) => {
    // One that could not even be started has no exit.
    ended.resolve({ code, signal })
    closed.resolve()
  })
  // Of the channel to one that is gone.
  worker.on('error', () => undefined)
  return member
}
