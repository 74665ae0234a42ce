// A Redis of a benchmark's own, synced to disk at every write. Not a program of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { findFreePort } from '../test/support/ports.ts'
import { adopt } from './support.ts'

export interface BenchmarkRedis extends AsyncDisposable {
  readonly url: string
}

/** Milliseconds until a server that does not answer is given up. */
const START_TIMEOUT = 10_000

/** @param launcher what stands before its command, such as what binds it to a core. */
export async function startDurableRedis(launcher: readonly string[] = []): Promise<BenchmarkRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-redis-'))
  const port = await findFreePort()
  const words = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  // Never written anew: that would come at 64 MB, in the middle of some stretch, and hold up every answer of it.
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0']
  const [program = '', ...rest] = [...launcher, 'redis-server', ...words, ...durable]
  const child = adopt(spawn(program, rest, { stdio: 'ignore' }))
  const url = `redis://127.0.0.1:${port}/0`
  await waitUntilReady(url)
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function waitUntilReady(url: string): Promise<void> {
  const end = performance.now() + START_TIMEOUT
  while (performance.now() < end) {
    const client = createClient({ url, socket: { reconnectStrategy: false } })
    client.on('error', () => undefined)
    const ready = await client.connect().then(
      () => true,
      () => false,
    )
    if (ready) return client.close()
    await sleep(50)
  }
  throw new Error('redis-server did not start')
}
