// What the benchmarks share: the real server as a child process on a free port of this machine, its configuration, and the
// little statistics and Markdown that they print. Not a program of its own.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hash } from '@node-rs/argon2'
import type { ConfigurationInput } from '../src/config/schema.ts'

const ROOT = resolve(import.meta.dirname, '..')

/** OWASP's first recommendation for argon2id, as src/core/crypto/passwords.ts has it. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** Milliseconds until a server that does not listen is given up. */
const START_TIMEOUT = 15_000

/** Of the same length, so that no request and no reply differs in size. */
export const RIGHT_PASSWORD = 'right-password'
export const WRONG_PASSWORD = 'wrong-password'

const LOGIN_PATH = '/idscanenterprisesvc/token'

type Account = Exclude<NonNullable<ConfigurationInput['idscan']>, false>['accounts'][number]

/** Accounts `name-01`, `name-02`, … whose password is {@link RIGHT_PASSWORD}, each with a hash of its own. */
export function createAccounts(name: string, count: number, disabled = false): Promise<Account[]> {
  return Promise.all(
    namesOf(name, count).map(async (username) => ({
      username,
      password: await hash(RIGHT_PASSWORD, PARAMETERS),
      areas: ['scanning' as const],
      disabled,
    })),
  )
}

export function namesOf(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name}-${String(index + 1).padStart(3, '0')}`)
}

/** A login as undici sends it. */
export function loginRequest(username: string, password: string) {
  return {
    path: LOGIN_PATH,
    method: 'POST' as const,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'password', username, password, area: 'scanning' }).toString(),
  }
}

const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** Sees to it that a child does not outlive this process, however this process ends. */
export function adopt(child: ChildProcess): ChildProcess {
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

export interface BenchmarkServer extends AsyncDisposable {
  readonly url: string
  /** The most memory that it has held so far, in MiB: VmHWM; undefined where the system has no /proc. */
  peakMemory(): Promise<number | undefined>
}

/** Starts the service with a configuration file of its own, the guard off. Its log goes to a file: reading it costs time. */
export async function startServer(sections: Partial<ConfigurationInput>): Promise<BenchmarkServer> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-'))
  const log = join(folder, 'log')
  await writeFile(join(folder, 'trimint.yaml'), JSON.stringify(configure(sections)))
  const descriptor = openSync(log, 'w')
  const { PATH = '', HOME = '' } = process.env
  const child = adopt(
    spawn(process.execPath, [join(ROOT, 'src/main.ts')], {
      cwd: folder,
      env: { PATH, HOME, PORT: '0' },
      stdio: ['ignore', descriptor, 'inherit'],
    }),
  )
  closeSync(descriptor)
  const server = {
    peakMemory: () => readPeakMemory(child.pid),
    [Symbol.asyncDispose]: async () => {
      await kill(child)
      await rm(folder, { recursive: true, force: true })
    },
  }
  try {
    return { url: await waitForUrl(child, log), ...server }
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

function configure(sections: Partial<ConfigurationInput>): ConfigurationInput {
  return {
    publicUrl: 'http://127.0.0.1:8080',
    store: 'sqlite::memory:',
    keys: [{ secret: randomBytes(32).toString('base64url') }],
    guard: false,
    ...sections,
  }
}

async function waitForUrl(child: ChildProcess, log: string): Promise<string> {
  const end = performance.now() + START_TIMEOUT
  while (performance.now() < end && child.exitCode === null) {
    const url = /"url":"([^"]+)"/.exec(await readFile(log, 'utf8'))?.[1]
    if (url) return url
    await sleep(20)
  }
  throw new Error('the server did not start')
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

async function readPeakMemory(pid: number | undefined): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kibibytes = /^VmHWM:\s+([0-9]+) kB$/m.exec(status)?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) / 1024
}

/** @param share 0.5 is the median. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

/** A whole number from the command line, from 1. */
export function readCount(text: string, most: number): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= most) return count
  throw new Error(`${text} is not a whole number from 1 to ${most}`)
}

/** A Markdown table; the first column is text, the others are numbers. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
  const lines = [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`)
  process.stdout.write(`\n${lines.join('')}\n`)
}
