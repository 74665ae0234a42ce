// Starts the load generator and sends it jobs.

import { fileURLToPath } from 'node:url'
import { type ProcessOptions, startNode } from '../process.ts'
import type { Job, Measured, Report } from './protocol.ts'

const SCRIPT = fileURLToPath(import.meta.resolve('./generator.ts'))

/** Reports an answer that was not expected, or one that never came. */
export class LoadError extends Error {
  /** The request and its answer as text, where there was an answer. */
  readonly exchange: string | undefined

  constructor(message: string, exchange: string | undefined) {
    super(message)
    this.exchange = exchange
  }
}

export interface Generator extends AsyncDisposable {
  /** @throws LoadError */
  run(job: Job): Promise<Measured>
}

export function startGenerator(options: ProcessOptions): Generator {
  const generator = startNode([SCRIPT], options)
  let settle: (report: Report) => void = () => undefined
  generator.child.on('message', (report: Report) => settle(report))
  generator.child.once('exit', () => settle({ failed: { message: 'the load generator exited', exchange: undefined } }))
  return {
    async run(job) {
      const { promise, resolve } = Promise.withResolvers<Report>()
      settle = resolve
      generator.child.send(job)
      const report = await promise
      if ('failed' in report) throw new LoadError(report.failed.message, report.failed.exchange)
      return report.done
    },
    [Symbol.asyncDispose]: () => generator[Symbol.asyncDispose](),
  }
}
