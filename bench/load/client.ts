// The benchmark's end of its load generator. Not a program of its own.

import { fileURLToPath } from 'node:url'
import { type BenchmarkProcess, startNode } from '../subjects/process.ts'
import type { Job, Measured, Report } from './protocol.ts'

const SCRIPT = fileURLToPath(import.meta.resolve('./generator.ts'))

export interface Generator extends AsyncDisposable {
  /** @throws Error for any answer that is not as expected. */
  run(job: Job): Promise<Measured>
}

export function startGenerator(core: number | undefined): Generator {
  const { child, [Symbol.asyncDispose]: dispose }: BenchmarkProcess = startNode({ script: SCRIPT, core })
  let settle: (report: Report) => void = () => undefined
  child.on('message', (report: Report) => settle(report))
  child.once('exit', () => settle({ error: 'the load generator has ended' }))
  return {
    async run(job) {
      const { promise, resolve } = Promise.withResolvers<Report>()
      settle = resolve
      child.send(job)
      const report = await promise
      if ('error' in report) throw new Error(report.error)
      return report.done
    },
    [Symbol.asyncDispose]: dispose,
  }
}
