// Starts the load generator and sends it jobs.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Server } from '../server.ts'

export interface Requests {
  /** The bytes of a request. `{token}` in it is filled with tokens; the load ends when they are used up. */
  readonly request: string
  /**
   * A regular expression that the body of each answer must match; the status must be 200. The first answer that differs
   * ends the run. The first group is the token, where tokens are kept.
   */
  readonly expect: string
  /** How often each token is sent; 1 by default. */
  readonly uses?: number
}

export interface Job {
  readonly port: number
  readonly connections: number
  readonly requests: Requests
  readonly seconds: number
  /** Requests a second, regardless of answers. Without a rate, each connection sends again after its answer. */
  readonly rate?: number | undefined
  /**
   * Whether the generator polls instead of sleeping. The kernel charges a sender for waking a sleeping receiver: a
   * server slower than the generator would pay for it, bare node:http would not. Must be false where another process
   * needs the same core.
   */
  readonly awake: boolean
  /** Sends at most so many requests, and keeps the tokens in their answers. */
  readonly count?: number
  /** What fills `{token}`; by default the tokens that the job before kept. */
  readonly tokens?: readonly string[] | undefined
}

export interface Measured {
  readonly answers: number
  readonly seconds: number
  /** Milliseconds from when a request was due until its answer was complete. */
  readonly latencyMs: { readonly p50: number; readonly p99: number }
  /** Share of a core that the generator used. */
  readonly generatorLoad: number
}

/** After an unexpected answer, the exchange is the text of its request and itself. */
export type Report = { readonly done: Measured } | { readonly failed: string; readonly exchange?: string | undefined }

export interface Generator extends AsyncDisposable {
  /** @throws Error for an unexpected or missing answer; it names a folder with the exchange and the server's log */
  run(server: Server, job: Omit<Job, 'port'>): Promise<Measured>
}

export function startGenerator(): Generator {
  const child = fork(fileURLToPath(import.meta.resolve('./generator.ts')))
  const exit = once(child, 'exit').then((): [Report] => [{ failed: 'the load generator exited' }])
  return {
    async run(server, job) {
      child.send({ ...job, port: server.port })
      const [report] = (await Promise.race([once(child, 'message'), exit])) as [Report]
      if ('done' in report) return report.done
      const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-failure-'))
      await writeFile(join(folder, 'answer.txt'), report.exchange ?? `${report.failed}\n`)
      await copyFile(server.log, join(folder, 'server.log'))
      throw new Error(`${report.failed}\nkept: ${folder}`)
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await exit
    },
  }
}
