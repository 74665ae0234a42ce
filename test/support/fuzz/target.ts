import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import { findFreePort } from '../ports.ts'
import { programWords } from '../program.ts'
import { KEY, startService } from '../service.ts'
import { watchConnections } from '../traces.ts'

/** The fuzzed service: in this process or, in a full run, in a separate one. */
export interface Target extends AsyncDisposable {
  readonly port: number
  /** Returns the faults since the last call: lines at level error or fatal, unhandled rejections, an exit. */
  faults(): string[]
  /** Counts its open connections. */
  sockets(): Promise<number>
  /** Returns the bytes of memory that it uses; 0 when it shares the test's process. */
  memory(): number
}

type Fuzzed = Partial<ConfigurationInput>

/** @param limits milliseconds for headers and for a whole request, when the test cannot wait for the defaults. */
export async function startHere(
  configuration: Fuzzed,
  limits: { readonly head?: number; readonly whole?: number } = {},
): Promise<Target> {
  const service = await startService({
    configuration,
    connectionLimits: {
      ...(limits.head ? { headersTimeoutMs: limits.head } : {}),
      ...(limits.whole ? { requestTimeoutMs: limits.whole } : {}),
      connectionsCheckingIntervalMs: 100,
    },
  })
  const connections = watchConnections(service.port)
  const unhandled: string[] = []
  const onRejection = (reason: unknown): void => void unhandled.push(`unhandled rejection: ${reason}`)
  process.on('unhandledRejection', onRejection)
  return {
    port: service.port,
    faults() {
      const bad = service.log.splice(0).filter(({ level }) => level === 'error' || level === 'fatal')
      return [...bad.map((line) => JSON.stringify(line)), ...unhandled.splice(0)]
    },
    sockets: async () => connections.count(),
    memory: () => 0,
    async [Symbol.asyncDispose]() {
      process.off('unhandledRejection', onRejection)
      connections.stop()
      await service.close()
    },
  }
}

/** Starts the program with a configuration and a store file in a new folder. */
export async function startElsewhere(configuration: Fuzzed): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-fuzz-'))
  const written = {
    publicUrl: 'https://tokens.example.com',
    store: 'sqlite:./data/fuzz.db',
    keys: [{ secret: KEY }],
    overload: false,
    ...configuration,
  }
  writeFileSync(join(folder, 'trimint.yaml'), stringify(written))
  const port = await findFreePort()
  const words = await programWords()
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, PORT: String(port), LOG_LEVEL: 'info', DRAIN_DELAY: '0s' }
  const child = spawn(process.execPath, [...words], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const faults = watchLog(child)
  const exit = once(child, 'close')
  await reach(port, child)
  // Sockets that are not connections of clients, such as the port and the output.
  const own = await settle(() => countSockets(child))

  return {
    port,
    faults: () => [
      ...faults.splice(0),
      ...(child.exitCode === null && child.signalCode === null ? [] : [`it has ended: ${child.exitCode}`]),
    ],
    sockets: async () => countSockets(child) - own,
    memory: () => residentMemory(child),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      const [code] = await exit
      rmSync(folder, { recursive: true, force: true })
      if (code !== 0) throw new Error(`exit code ${code}: ${faults.join('\n')}`)
    },
  }
}

/** Collects the log lines that indicate a fault. The whole log would not fit in memory. */
function watchLog({ stdout, stderr }: ChildProcess): string[] {
  const bad: string[] = []
  let left = ''
  stdout?.on('data', (chunk) => {
    const lines = `${left}${chunk}`.split('\n')
    left = lines.pop() ?? ''
    bad.push(...lines.filter(isBad).map((line) => line.slice(0, 2_000)))
  })
  stderr?.on('data', (chunk) => void bad.push(`standard error: ${chunk}`))
  return bad
}

/** Matches an error, a failed store call, or a signed token in a log line. */
function isBad(line: string): boolean {
  return /^\{"level":"(?:error|fatal)"|"event":"store\.failed"|eyJ[\w-]+\.eyJ/.test(line)
}

async function reach(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      socket.destroy()
      return
    } catch {
      if (child.exitCode !== null) throw new Error('the fuzzed process exited during start-up')
      await sleep(50)
    }
  }
}

/** Resolves to a number once it stops changing. */
async function settle(read: () => number): Promise<number> {
  for (let before = -1; ; ) {
    const now = read()
    if (now === before) return now
    before = now
    await sleep(500)
  }
}

/** Counts the sockets of a process. Only Linux lists them; elsewhere the count is 0. */
function countSockets({ pid }: ChildProcess): number {
  const folder = `/proc/${pid}/fd`
  return onLinux(
    () => readdirSync(folder).filter((name) => readlinkSync(join(folder, name)).startsWith('socket:')).length,
  )
}

function residentMemory({ pid }: ChildProcess): number {
  return onLinux(() => Number(/VmRSS:\s+([0-9]+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024)
}

function onLinux(read: () => number): number {
  try {
    return read()
  } catch {
    return 0
  }
}
