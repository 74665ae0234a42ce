// What the candidates of one scenario share: cores, a folder, the load generator, a Redis and a PostgreSQL.

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from '../test/support/ports.ts'
import { type StartedPostgres, startPostgres } from '../test/support/postgres.ts'
import { type Generator, startGenerator } from './load/client.ts'
import type { Cores } from './machine.ts'
import { type ProcessOptions, startProcess } from './process.ts'

const START_TIMEOUT_MS = 60_000

export interface BenchEnvironment extends AsyncDisposable {
  readonly cores: Cores
  /** Each process gets a folder below it. */
  readonly folder: string
  readonly generator: Generator
  /** Returns the URL of a database that no other candidate uses. */
  openDatabase(kind: 'redis' | 'postgres'): Promise<string>
}

export async function createBenchEnvironment(cores: Cores): Promise<BenchEnvironment> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const generator = stack.use(startGenerator({ core: cores.generator, folder: join(folder, 'generator') }))
  const redisOptions = { core: cores.generator, folder: join(folder, 'redis') }
  let redis: Promise<number> | undefined
  let databases = 0
  let postgres: Promise<StartedPostgres> | undefined
  const owned = stack.move()
  return {
    cores,
    folder,
    generator,
    async openDatabase(kind) {
      if (kind === 'postgres') {
        postgres ??= startDurablePostgres(cores.generator, owned)
        return (await postgres).createDatabase()
      }
      redis ??= startDurableRedis(redisOptions, owned)
      databases += 1
      return `redis://127.0.0.1:${await redis}/${databases}`
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Starts a Redis that syncs every write to the disk. @returns its port */
async function startDurableRedis(options: ProcessOptions, owner: AsyncDisposableStack): Promise<number> {
  await mkdir(options.folder)
  const port = await findFreePort()
  const words = ['--port', String(port), '--bind', '127.0.0.1', '--dir', options.folder, '--save', '']
  // No rewrite of the file: it starts at 64 MB, within a measurement, and delays every answer.
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0']
  owner.use(startProcess(['redis-server', ...words, ...durable], options))
  await waitUntilListening(port)
  return port
}

/** Starts a PostgreSQL that syncs every commit to the disk. */
async function startDurablePostgres(core: number | undefined, owner: AsyncDisposableStack): Promise<StartedPostgres> {
  const server = owner.use(await startPostgres({ fsync: 'on' }))
  const [row] = await server.query("SELECT pg_read_file('postmaster.pid') AS file")
  const [pid = ''] = String(row?.file).split('\n')
  // Sessions inherit the core.
  if (core !== undefined) execFileSync('taskset', ['--pid', '--cpu-list', String(core), pid])
  return server
}

export async function waitUntilListening(port: number): Promise<void> {
  const end = performance.now() + START_TIMEOUT_MS
  while (performance.now() < end) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await sleep(20)
  }
  throw new Error(`port ${port}: no server listens after ${START_TIMEOUT_MS / 1000} s`)
}
