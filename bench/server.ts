// Server processes: each can be bound to a core, writes a log, and reports its processor time and memory.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from '../test/support/ports.ts'
import { requestOnce } from './load/http.ts'

/** Clock ticks a second in /proc, the same on every Linux (sysconf(_SC_CLK_TCK)). */
const TICKS_PER_SECOND = 100
/** Of memory in /proc, on x86-64 (getconf PAGESIZE). */
const PAGE_BYTES = 4_096

const START_TIMEOUT_MS = 60_000
/** Shorter than the differences between start-up times that are measured. */
const POLL_INTERVAL_MS = 2
const TERMINATION_TIMEOUT_MS = 5_000

// Children end with this process, however it exits.
process.once('exit', () => {
  for (const pid of childrenOf(process.pid)) process.kill(pid, 'SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

export interface Server extends AsyncDisposable {
  readonly port: number
  readonly child: ChildProcess
  /** The file that standard output and standard error go to. */
  readonly log: string
  /** Milliseconds from its start to its first answer of 200. */
  readonly startMs: number
  /** Returns what it and its children use: resident memory, and processor time in user and kernel mode since the start. */
  usage(): { readonly residentMb: number; readonly processorSeconds: number }
}

export interface ServerOptions {
  /** Undefined for the cores of this process. */
  readonly core?: number | undefined
  /** The working folder. It also gets the log, and is created if missing. */
  readonly folder: string
  /** A free port by default. The server gets it as PORT. */
  readonly port?: number
  readonly env?: Readonly<Record<string, string>> | undefined
}

/**
 * Starts a server, with a channel for messages, and waits until it answers a request with 200.
 *
 * @throws Error with the log when it exits or takes too long
 */
export async function startServer(
  command: readonly string[],
  options: ServerOptions,
  request: string,
): Promise<Server> {
  const { core, folder, env = {}, port = await findFreePort() } = options
  const binding = core === undefined ? [] : ['taskset', '--cpu-list', String(core)]
  const [program = '', ...words] = [...binding, ...command]
  const { PATH = '', HOME = '' } = process.env
  mkdirSync(folder, { recursive: true })
  const log = join(folder, 'log')
  const output = openSync(log, 'w')
  const began = performance.now()
  const child = spawn(program, words, {
    cwd: folder,
    env: { PATH, HOME, PORT: String(port), ...env },
    stdio: ['ignore', output, output, 'ipc'],
  })
  closeSync(output)
  while ((await requestOnce(port, request).catch(() => undefined))?.status !== 200) {
    if (child.exitCode !== null || performance.now() - began > START_TIMEOUT_MS) {
      await terminate(child)
      throw new Error(`${command.join(' ')} did not start:\n${readFileSync(log, 'utf8')}`)
    }
    await sleep(POLL_INTERVAL_MS)
  }
  return {
    port,
    child,
    log,
    startMs: performance.now() - began,
    usage: () => readUsage(child.pid ?? 0),
    [Symbol.asyncDispose]: () => terminate(child),
  }
}

async function terminate(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  // An orderly end first: it ends nginx's workers and Trimint's as well, and Node writes its compile cache.
  child.kill('SIGTERM')
  using _timer = setTimeout(() => child.kill('SIGKILL'), TERMINATION_TIMEOUT_MS)
  await exit
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

function readUsage(parent: number): ReturnType<Server['usage']> {
  let [ticks, pages] = [0, 0]
  for (const pid of [parent, ...childrenOf(parent)]) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets can contain spaces; utime, stime and rss are the 12th, 13th and 22nd field after it (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    ticks += Number(fields[11]) + Number(fields[12])
    pages += Number(fields[21])
  }
  return { processorSeconds: ticks / TICKS_PER_SECOND, residentMb: (pages * PAGE_BYTES) / 1e6 }
}
