import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findFreePort } from './ports.ts'
import { REDIS_FILES, recordStores } from './traces.ts'

/** A Redis that acknowledges a write once it is on disk, and that can be killed and restarted. */
export interface DurableRedis extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Starts it, again or for the first time, with the same folder and port. */
  start(): Promise<void>
  /** Sends SIGKILL. */
  kill(): Promise<void>
  /** Suspends the process: connections stay open and get no answers. */
  freeze(): void
  thaw(): void
}

const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always']

/**
 * @param prepare creates files in the folder before the start.
 * @param flags replace those that make it durable.
 */
export async function startDurableRedis(
  prepare: (folder: string) => Promise<void> = async () => undefined,
  flags: readonly string[] = DURABLE,
): Promise<DurableRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-redis-'))
  await prepare(folder)
  const port = await findFreePort()
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder]
    const started = spawn('redis-server', [...where, '--save', '', '--latency-monitor-threshold', '50', ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child = started
    let said = ''
    for await (const chunk of started.stdout) {
      said += chunk
      if (said.includes('Ready to accept connections')) return
    }
    throw new Error(`redis-server did not start:\n${said}`)
  }

  async function kill(): Promise<void> {
    if (!child) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    child = undefined
    await exit
  }

  await start()
  return {
    url: `redis://127.0.0.1:${port}/0`,
    port,
    start,
    kill,
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await kill()
      await recordStores(folder, REDIS_FILES)
      await rm(folder, { recursive: true, force: true })
    },
  }
}
