import cluster from 'node:cluster'
import type { Registry } from 'prom-client'
import type { Listening, Order, Report } from './messages.ts'

/** What a terminal or a service manager sends to every process of a group: a worker hears of it from its parent, and so once. */
const GROUP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const

/** The parent, as a worker sees it. */
export interface Parent {
  /** The number of this worker: no other has it, nor had it before. */
  readonly worker: number
  /** What is not for this process to act upon. */
  readonly ignoredSignals: typeof GROUP_SIGNALS
  /** Tells that requests are answered; from then on there may be orders. */
  listening(listening: Listening, banner: string | undefined): void
  onReload(step: () => void): void
  onEnd(step: (signal: NodeJS.Signals | undefined) => void): void
  /** Has a registry say what all workers together have counted, and tells the parent what this one has. */
  speakForAll(registry: Registry): void
}

/** To be called once, by a worker. */
export function connectToParent(): Parent {
  for (const signal of GROUP_SIGNALS) process.on(signal, () => undefined)
  // Without its parent it has no port, and nobody to read what it logs. Not by process.exit, as node:cluster would: with lines that cannot
  // be written any more, that is an error, and no end.
  process.prependOnceListener('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  const steps: { reload?: () => void; end?: (signal: NodeJS.Signals | undefined) => void } = {}
  const unanswered = new Map<number, (text: string) => void>()
  let questions = 0
  let counted: Registry | undefined

  process.on('message', (order: Order) => {
    if (order.order === 'reload') steps.reload?.()
    else if (order.order === 'end') steps.end?.(order.signal)
    else if (order.order === 'count') void count(order.question)
    else if (order.order === 'total') answer(order.question, order.text)
  })

  function tell(report: Report): void {
    // A parent that is gone hears nothing, and this process ends.
    process.send?.(report, undefined, undefined, () => undefined)
  }

  async function count(question: number): Promise<void> {
    tell({ report: 'counted', question, snapshot: (await counted?.getMetricsAsJSON()) ?? [] })
  }

  function answer(question: number, text: string): void {
    unanswered.get(question)?.(text)
    unanswered.delete(question)
  }

  return {
    worker: cluster.worker?.id ?? 0,
    ignoredSignals: GROUP_SIGNALS,
    listening: (listening, banner) => tell({ report: 'listening', listening, banner }),
    onReload(step) {
      steps.reload = step
    },
    onEnd(step) {
      steps.end = step
    },
    speakForAll(registry) {
      counted = registry
      registry.metrics = () => {
        questions += 1
        const { promise, resolve } = Promise.withResolvers<string>()
        unanswered.set(questions, resolve)
        tell({ report: 'asked', question: questions })
        return promise
      }
    },
  }
}
