import cluster from 'node:cluster'
import type { Registry } from 'prom-client'
import type { Listening, PrimaryMessage, WorkerMessage } from './messages.ts'

/** A terminal or a service manager sends these to the whole process group; the primary passes them on once. */
const GROUP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const

/** Sends messages to all workers, which get the messages of all senders in the same order. */
interface Peers {
  broadcast(message: unknown): Promise<readonly unknown[]>
  receive(handler: (message: unknown) => Promise<unknown>): void
}

/** The primary, as a worker sees it. */
export interface PrimaryLink {
  /** This worker's number. Numbers are never reused. */
  readonly worker: number
  readonly ignoredSignals: typeof GROUP_SIGNALS
  reportListening(listening: Listening, banner: string | undefined): void
  reportMetrics(registry: Registry): void
  /** Returns the metrics of all workers, in Prometheus' text format. */
  renderMetrics(): Promise<string>
  /** The workers, this one included, as the control API needs them. */
  readonly peers: Peers
  onReload(handler: () => void): void
  onShutdown(handler: (signal: NodeJS.Signals | undefined) => void): void
}

/** Connects a worker to its primary. Call it once in a process. */
export function connectToPrimary(): PrimaryLink {
  for (const signal of GROUP_SIGNALS) process.on(signal, () => undefined)
  // Without its primary, a worker has no port and no log. SIGKILL, because an exit would wait for the log to be
  // written.
  process.prependOnceListener('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  const handlers: { reload?: () => void; shutdown?: (signal: NodeJS.Signals | undefined) => void } = {}
  let registry: Registry | undefined
  let rendering: PromiseWithResolvers<string> | undefined
  let receive: (message: unknown) => Promise<unknown> = async () => undefined
  const broadcasts = new Map<number, (answers: readonly unknown[]) => void>()
  let broadcastCount = 0

  process.on('message', (message: PrimaryMessage) => {
    if (message.type === 'reload') handlers.reload?.()
    else if (message.type === 'shutdown') handlers.shutdown?.(message.signal)
    else if (message.type === 'collect') void sendSnapshot()
    else if (message.type === 'rendered') {
      rendering?.resolve(message.text)
      rendering = undefined
    } else if (message.type === 'deliver') {
      const { id } = message
      void receive(message.message).then((answer) => send({ type: 'delivered', id, answer }))
    } else if (message.type === 'answers') {
      broadcasts.get(message.id)?.(message.answers)
      broadcasts.delete(message.id)
    }
  })

  function send(message: WorkerMessage): void {
    // An error means that the primary is gone, which ends this process anyway.
    process.send?.(message, undefined, undefined, () => undefined)
  }

  async function sendSnapshot(): Promise<void> {
    send({ type: 'snapshot', snapshot: (await registry?.getMetricsAsJSON()) ?? [] })
  }

  return {
    worker: cluster.worker?.id ?? 0,
    ignoredSignals: GROUP_SIGNALS,
    reportListening: (listening, banner) => send({ type: 'listening', listening, banner }),
    reportMetrics(reported) {
      registry = reported
    },
    renderMetrics() {
      if (!rendering) {
        rendering = Promise.withResolvers()
        send({ type: 'render' })
      }
      return rendering.promise
    },
    peers: {
      broadcast(message) {
        broadcastCount += 1
        const id = broadcastCount
        send({ type: 'broadcast', id, message })
        return new Promise((resolve) => broadcasts.set(id, resolve))
      },
      receive(handler) {
        receive = handler
      },
    },
    onReload(handler) {
      handlers.reload = handler
    },
    onShutdown(handler) {
      handlers.shutdown = handler
    },
  }
}
