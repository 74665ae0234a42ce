import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, globSync, readFileSync } from 'node:fs'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { findFreePort } from './ports.ts'
import { isLeftOut } from './programs.ts'
import { hasRunFolder, makeOnce } from './run-folder.ts'

const run = promisify(execFile)

const PASSWORD = 'postgres-password'

/** The newest installed version's programs, which Debian keeps out of the PATH. */
const BIN = isLeftOut('postgres') ? undefined : globSync('/usr/lib/postgresql/*/bin').sort().at(-1)

/** Returns whether PostgreSQL is installed, for `test.skipIf`. */
export function hasPostgres(): boolean {
  if (BIN === undefined && process.env.CI === 'true') throw new Error('PostgreSQL is missing, and CI skips nothing')
  if (BIN === undefined) process.stderr.write('skipped: tests that need PostgreSQL, which is not installed\n')
  return BIN !== undefined
}

export interface StartedPostgres extends AsyncDisposable {
  /** Of the database that every server has. */
  readonly url: string
  readonly port: number
  /** Creates an empty database and returns its URL. */
  createDatabase(): Promise<string>
  /** Deletes all rows of a store's database. */
  empty(database: string): Promise<void>
  query(sql: string, database?: string): Promise<Record<string, unknown>[]>
  /** Starts a server that follows this one. With `synchronous_standby_names` writes wait for it. */
  startStandby(): Promise<StartedPostgres>
  /** Makes a standby take writes. */
  promote(): Promise<void>
  /** Suspends all processes without closing a connection. */
  freeze(): void
  thaw(): void
  /** Ends all processes at once. */
  kill(): Promise<void>
  stop(): Promise<void>
}

type Settings = Readonly<Record<string, string>>

/** PostgreSQL refuses to run as root. */
const UNPRIVILEGED = 65_534
const isRoot = process.getuid?.() === 0
const identity = isRoot ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {}

async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-postgres-'))
  giveToPostgres(folder)
  return folder
}

/** Makes the user that PostgreSQL runs as the owner of a file. */
export function giveToPostgres(path: string): void {
  if (isRoot) chownSync(path, UNPRIVILEGED, UNPRIVILEGED)
}

function program(name: string, words: readonly string[], folder: string) {
  return run(join(BIN ?? '', name), words, { ...identity, cwd: folder })
}

/**
 * Starts PostgreSQL in an empty folder on a free port.
 *
 * @param settings of the server, by name. By default it does not wait for the disk.
 */
export async function startPostgres(settings: Settings = {}): Promise<StartedPostgres> {
  const folder = await createFolder()
  const data = join(folder, 'data')
  // initdb takes a second of processor time, a copy a tenth of it.
  if (hasRunFolder()) await run('cp', ['-a', await makeOnce('postgres-data', initialise), data])
  else await initialise(data)
  return launch(folder, settings)
}

/** Creates the data folder of a new server. */
async function initialise(data: string): Promise<void> {
  const folder = await createFolder()
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, PASSWORD, { mode: 0o644 })
  const words = [
    '-U',
    'trimint',
    '-A',
    'scram-sha-256',
    '--pwfile',
    passwordFile,
    '-E',
    'UTF8',
    '--no-locale',
    '--no-sync',
    // In megabytes: each copy of the folder, and each standby, contains a segment or two.
    '--wal-segsize=1',
  ]
  await program('initdb', ['-D', join(folder, 'data'), ...words], folder)
  await rename(join(folder, 'data'), data)
  await rm(folder, { recursive: true })
}

async function launch(folder: string, settings: Settings): Promise<StartedPostgres> {
  const data = join(folder, 'data')
  const port = Number(settings.port ?? (await findFreePort()))
  const all = {
    fsync: 'off',
    listen_addresses: '127.0.0.1',
    port: String(port),
    shared_buffers: '32MB',
    // In the data folder: a killed server leaves other shared memory behind.
    dynamic_shared_memory_type: 'mmap',
    ...settings,
  }
  const words = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const child = spawn(join(BIN ?? '', 'postgres'), ['-D', data, '-k', folder, ...words], {
    ...identity,
    cwd: folder,
    stdio: 'ignore',
  })
  const exited = once(child, 'exit')
  const urlOf = (database: string): string => `postgres://trimint:${PASSWORD}@127.0.0.1:${port}/${database}`
  const url = urlOf('postgres')
  while (!(await accepts(url))) {
    if (child.exitCode !== null) throw new Error('PostgreSQL did not start')
    await sleep(20)
  }
  let databases = 0

  async function query(sql: string, database = url): Promise<Record<string, unknown>[]> {
    const client = new Client(database)
    await client.connect()
    try {
      return (await client.query(sql)).rows as Record<string, unknown>[]
    } finally {
      await client.end()
    }
  }

  async function isPromoted(): Promise<boolean> {
    const rows = await query('SELECT pg_is_in_recovery() AS recovering').catch(() => [])
    return rows[0]?.recovering === false
  }

  async function kill(): Promise<void> {
    signalAll(child, 'SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await exited
  }

  async function stop(): Promise<void> {
    await kill()
    await rm(folder, { recursive: true, force: true })
  }

  return {
    url,
    port,
    async createDatabase() {
      databases += 1
      await query(`CREATE DATABASE test_${databases}`)
      return urlOf(`test_${databases}`)
    },
    async empty(database) {
      const tables = await query("SELECT tablename FROM pg_tables WHERE tablename LIKE 'trimint_%'", database)
      const kept = ['trimint_schema', 'trimint_anonymous']
      const names = tables.map(({ tablename }) => String(tablename)).filter((name) => !kept.includes(name))
      if (names.length === 0) return
      await query(`TRUNCATE ${names.join(', ')}; UPDATE trimint_anonymous SET records = 0, bytes = 0`, database)
    },
    query,
    async startStandby() {
      const copy = await createFolder()
      await program('pg_basebackup', ['-d', url, '-D', join(copy, 'data'), '-R', '-c', 'fast', '--no-sync'], copy)
      return launch(copy, settings)
    },
    async promote() {
      // Short statements: replay on the standby cancels those that it conflicts with, such as one that waits.
      await query('SELECT pg_promote(false)')
      while (!(await isPromoted())) await sleep(20)
    },
    freeze: () => signalAll(child, 'SIGSTOP'),
    thaw: () => signalAll(child, 'SIGCONT'),
    kill,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Signals the server and the process of each connection: each has a process group of its own. */
function signalAll({ pid, exitCode, signalCode }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
  for (const each of [pid, ...children.map(Number)]) {
    try {
      process.kill(each, signal)
    } catch {
      // The connection has ended meanwhile.
    }
  }
}

async function accepts(url: string): Promise<boolean> {
  const client = new Client(url)
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}
