// Processes that are measured: on a core of their own, with the processor time and the memory that they take. Not a program of its own.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { adopt } from '../support.ts'

/** What the processor time in /proc is counted in, a second: fixed by Linux for programs. */
const TICKS = 100

export interface BenchmarkProcess extends AsyncDisposable {
  readonly child: ChildProcess
  /** Seconds of processor time, in the program and in the kernel, of all its processes. */
  processorTime(): Promise<number>
  /** MB. */
  memory(): Promise<number>
}

/** What stands before a command so that it runs on one core. */
export function onCore(core: number | undefined): string[] {
  return core === undefined ? [] : ['taskset', '--cpu-list', String(core)]
}

export interface NodeProgram {
  readonly script: string
  readonly core: number | undefined
  readonly options?: readonly string[]
  readonly folder?: string
  readonly env?: Readonly<Record<string, string>>
  /** Where its standard output goes; nowhere unless said. */
  readonly log?: string
}

/** A Node of the version that runs this. It hears and speaks over a channel, where it wants to. */
export function startNode({ script, core, options = [], folder, env = {}, log }: NodeProgram): BenchmarkProcess {
  return startProgram([process.execPath, ...options, script], { core, folder, env, log, channel: true })
}

export interface ProgramOptions {
  readonly core: number | undefined
  readonly folder?: string | undefined
  readonly env?: Readonly<Record<string, string>>
  readonly log?: string | undefined
  readonly channel?: boolean
}

export function startProgram(
  command: readonly string[],
  { core, folder, env = {}, log, channel = false }: ProgramOptions,
): BenchmarkProcess {
  const [program = '', ...words] = [...onCore(core), ...command]
  const { PATH = '', HOME = '' } = process.env
  const output = log === undefined ? ('ignore' as const) : openSync(log, 'a')
  const child = adopt(
    spawn(program, words, {
      cwd: folder,
      env: { PATH, HOME, ...env },
      stdio: ['ignore', output, 'inherit', ...(channel ? (['ipc'] as const) : [])],
    }),
  )
  if (typeof output === 'number') closeSync(output)
  return {
    child,
    processorTime: () => readProcessorTime(child.pid),
    memory: () => readMemory(child.pid),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      // nginx's workers are taken along only by an orderly end; whatever does not heed it is killed.
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 1_000)
      await exit
      clearTimeout(timer)
    },
  }
}

/** The process and its children: nginx works in one. */
async function familyOf(pid: number | undefined): Promise<(number | undefined)[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return [pid, ...children.split(' ').filter(Boolean).map(Number)]
}

async function readProcessorTime(pid: number | undefined): Promise<number> {
  let sum = 0
  for (const member of await familyOf(pid)) {
    const stat = await readFile(`/proc/${member}/stat`, 'utf8').catch(() => '')
    // The name, in brackets, may hold anything; utime and stime are the 12th and 13th field behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    sum += (Number(fields[11] ?? Number.NaN) + Number(fields[12] ?? Number.NaN)) / TICKS
  }
  return sum
}

async function readMemory(pid: number | undefined): Promise<number> {
  let sum = 0
  for (const member of await familyOf(pid)) {
    const status = await readFile(`/proc/${member}/status`, 'utf8').catch(() => '')
    sum += (Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) * 1024) / 1e6
  }
  return sum
}
