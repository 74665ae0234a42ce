// What the candidates of one scenario share: cores, a folder, the load generator, a Redis and a PostgreSQL.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type StartedPostgres, startPostgres } from '../test/support/postgres.ts'
import { findProgram } from '../test/support/programs.ts'
import { type StartedRedis, startRedis } from '../test/support/redis.ts'
import { type Generator, startGenerator } from './load/client.ts'
import type { ServerOptions } from './server.ts'

export interface Cores {
  /** Runs the measured server and nothing else. */
  readonly server: number
  /** Runs the load generator, and the store's server where there is one. */
  readonly generator: number
  /** All that this process may use, in Linux's notation, such as 0-3,6. */
  readonly all: string
}

/** Returns the last two cores that this process may use; undefined with fewer than two, or without taskset. */
export function chooseCores(): Cores | undefined {
  if (findProgram('taskset') === undefined) return undefined
  const all = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  const list = all.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
  const [generator, server] = list.slice(-2)
  return generator === undefined || server === undefined ? undefined : { generator, server, all }
}

export type StoreKind = 'sqlite' | 'redis' | 'postgres'

export interface BenchEnvironment extends AsyncDisposable {
  readonly generator: Generator
  /** Returns where a measured server runs: on the server's core, in a new folder. */
  place(name: string): ServerOptions
  /** Returns the URL of a store that no other server uses. @param folder of the server, for SQLite's file */
  openStore(kind: StoreKind, folder: string): Promise<string>
}

/** Every write is synced to the disk. The file is not rewritten: that starts at 64 MB, and delays every answer. */
const DURABLE_REDIS = '--appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0 --databases 1000'

/** With less memory than the indexes of a million tokens need, each creation would wait for the disk. */
const DURABLE_POSTGRES = { fsync: 'on', shared_buffers: '512MB', max_wal_size: '8GB' }

/** @param cores undefined lets the system choose the core of every process */
export async function createBenchEnvironment(cores?: Cores): Promise<BenchEnvironment> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  if (cores) {
    bindThisProcess(String(cores.generator))
    stack.defer(() => bindThisProcess(cores.all))
  }
  const generator = stack.use(startGenerator())
  let redis: StartedRedis | undefined
  let postgres: StartedPostgres | undefined
  let places = 0
  let databases = 0
  const owned = stack.move()
  return {
    generator,
    place(name) {
      places += 1
      return { core: cores?.server, folder: join(folder, `${places}-${name}`) }
    },
    async openStore(kind, serverFolder) {
      if (kind === 'sqlite') return `sqlite:${join(serverFolder, 'trimint.db')}`
      if (kind === 'postgres') {
        postgres ??= owned.use(await startPostgres(DURABLE_POSTGRES))
        return postgres.createDatabase()
      }
      redis ??= owned.use(await startRedis(undefined, DURABLE_REDIS.split(' ')))
      databases += 1
      return `redis://127.0.0.1:${redis.port}/${databases}`
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Binds this process to cores, and with it what it starts later, unless that is bound itself. */
function bindThisProcess(list: string): void {
  execFileSync('taskset', ['--pid', '--cpu-list', list, String(process.pid)])
}
