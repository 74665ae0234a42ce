import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { type StartedProcess, startProcess } from './process.ts'

export interface DemoWorkers extends StartedProcess {
  readonly url: string
  /** Kills a worker, and resolves once another one listens in its place. */
  replaceWorker(): Promise<void>
}

/**
 * Starts the demo with two workers behind one port. A new connection goes to the other worker than the one before.
 */
export async function startDemoWorkers(): Promise<DemoWorkers> {
  const started = await startProcess({ WORKERS: '2' })
  const [, url = ''] = await started.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
  const countListening = () => started.out().match(/"event":"worker.listening"/g)?.length ?? 0
  return {
    ...started,
    url,
    async replaceWorker() {
      const before = countListening()
      const children = readFileSync(`/proc/${started.child.pid}/task/${started.child.pid}/children`, 'utf8')
      process.kill(Number(children.trim().split(' ')[0]), 'SIGKILL')
      await expect.poll(countListening, { timeout: 50_000 }).toBe(before + 1)
    },
  }
}
