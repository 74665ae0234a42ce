import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRedisClient } from '../../src/store/redis/client.ts'
import { findFreePort } from './ports.ts'

export interface StartedRedis extends AsyncDisposable {
  readonly url: string
  readonly port: number
  flush(): Promise<void>
  /** Suspends the process without closing a connection. */
  freeze(): void
  stop(): Promise<void>
}

const NOT_DURABLE = ['--appendonly', 'no']

/** Starts Redis in an empty folder, by default on a free port and without a file. */
export async function startRedis(port?: number, flags: readonly string[] = NOT_DURABLE): Promise<StartedRedis> {
  const chosen = port ?? (await findFreePort())
  const folder = await mkdtemp(join(tmpdir(), 'trimint-redis-'))
  const words = ['--port', String(chosen), '--bind', '127.0.0.1', '--dir', folder, '--save', '', ...flags]
  const child = spawn('redis-server', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'close')
  let said = ''
  for await (const chunk of child.stdout) {
    said += chunk
    if (said.includes('Ready to accept connections')) break
  }
  if (child.exitCode !== null) throw new Error(`redis-server did not start:\n${said}`)
  const url = `redis://127.0.0.1:${chosen}/0`

  async function flush(): Promise<void> {
    const client = createRedisClient({ url }, () => undefined)
    await client.connect()
    await client.flushDb()
    await client.close()
  }

  async function stop(): Promise<void> {
    child.kill('SIGKILL')
    await exit
    await rm(folder, { recursive: true, force: true })
  }

  const freeze = (): void => void child.kill('SIGSTOP')

  return { url, port: chosen, flush, freeze, stop, [Symbol.asyncDispose]: stop }
}
