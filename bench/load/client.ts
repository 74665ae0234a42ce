// Starts the load generator and sends it jobs.

import { fileURLToPath } from 'node:url'
import { type ProcessOptions, startNode } from '../process.ts'
import type { Job, Measured, Report } from './protocol.ts'

const SCRIPT = fileURLToPath(import.meta.resolve('./generator.ts'))

export interface Generator extends AsyncDisposable {
  /**
   * @throws Error for an unexpected or missing answer; its cause is the text of the request and its answer, if there
   *   was one
   */
  run(job: Job): Promise<Measured>
}

export function startGenerator(options: ProcessOptions): Generator {
  const generator = startNode([SCRIPT], options)
  let settle: (report: Report) => void = () => undefined
  generator.child.on('message', (report: Report) => settle(report))
  generator.child.once('exit', () => settle({ failed: 'the load generator exited', exchange: undefined }))
  return {
    async run(job) {
      const { promise, resolve } = Promise.withResolvers<Report>()
      settle = resolve
      generator.child.send(job)
      const report = await promise
      if ('failed' in report) throw new Error(report.failed, { cause: report.exchange })
      return report.done
    },
    [Symbol.asyncDispose]: () => generator[Symbol.asyncDispose](),
  }
}
