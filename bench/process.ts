// Child processes: each can be bound to a core, writes a log, and reports its processor time and memory.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Clock ticks a second in /proc, the same on every Linux (sysconf(_SC_CLK_TCK)). */
const TICKS_PER_SECOND = 100

const TERMINATION_TIMEOUT_MS = 1_000

const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** Kills a child when this process exits, however it exits. */
export function killOnExit(child: ChildProcess): ChildProcess {
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

export interface MeasuredProcess extends AsyncDisposable {
  readonly child: ChildProcess
  /** The file that standard output and standard error go to. */
  readonly log: string
  /** Returns the seconds of processor time that it and its children used, in user and kernel mode. */
  processorSeconds(): Promise<number>
  /** Returns the resident memory of it and its children, in MB. */
  memoryMb(): Promise<number>
}

export interface ProcessOptions {
  /** The core to run on; undefined to let the system choose. */
  readonly core: number | undefined
  /** The working folder. It also gets the log, and is created if missing. */
  readonly folder: string
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** Starts a TypeScript program on this version of Node, with a channel for messages. */
export function startNode(words: readonly string[], options: ProcessOptions): MeasuredProcess {
  return startProcess([process.execPath, ...words], options, ['ipc'])
}

export function startProcess(
  command: readonly string[],
  { core, folder, env = {} }: ProcessOptions,
  channel: readonly 'ipc'[] = [],
): MeasuredProcess {
  const binding = core === undefined ? [] : ['taskset', '--cpu-list', String(core)]
  const [program = '', ...words] = [...binding, ...command]
  const { PATH = '', HOME = '' } = process.env
  mkdirSync(folder, { recursive: true })
  const log = join(folder, 'log')
  const output = openSync(log, 'w')
  const child = killOnExit(
    spawn(program, words, {
      cwd: folder,
      env: { PATH, HOME, ...env },
      stdio: ['ignore', output, output, ...channel],
    }),
  )
  closeSync(output)
  return {
    child,
    log,
    processorSeconds: () => sumOfFamily(child.pid, readProcessorSeconds),
    memoryMb: () => sumOfFamily(child.pid, readMemoryMb),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      // An orderly end first: it ends nginx's workers and Trimint's as well.
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), TERMINATION_TIMEOUT_MS)
      await exit
      clearTimeout(timer)
    },
  }
}

/** Waits for a program's first message. @throws Error with the log when it exits instead */
export async function firstMessage<Message>({ child, log }: MeasuredProcess): Promise<Message> {
  const ended = once(child, 'exit').then(() => undefined)
  const message = await Promise.race([once(child, 'message'), ended])
  if (!message) throw new Error(`${child.spawnargs.join(' ')} did not start:\n${await readFile(log, 'utf8')}`)
  return message[0] as Message
}

async function sumOfFamily(pid: number | undefined, read: (pid: string) => Promise<number>): Promise<number> {
  const list = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const values = await Promise.all([String(pid), ...list.split(' ').filter(Boolean)].map(read))
  return values.reduce((sum, value) => sum + value, 0)
}

async function readProcessorSeconds(pid: string): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name in brackets can contain spaces; utime and stime are the 12th and 13th field after it (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

async function readMemoryMb(pid: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return (Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) * 1024) / 1e6
}
