import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FULL } from '../support/full.ts'
import { findFreePort } from '../support/ports.ts'
import { programWords } from '../support/program.ts'

// Standard output cannot be written. The log may lose lines; requests, memory and the shutdown do not depend on it.

const TIMEOUT = 180_000
const PATIENT = { timeout: 60_000 }

/** Far below the ten minutes of an orderly shutdown, and enough on a busy machine. */
const MAX_END_MS = 30_000

/** Lines of these requests exceed what Trimint and a pipe buffer: 16 MiB in a process, and 256 KiB in the short run. */
const CONNECTIONS = 16
const ROUNDS = FULL ? 80 : 5
const PIPELINED = 60

/** MiB for each process. */
const MAX_GROWTH = 150

interface Output {
  readonly fd: number
  readonly close: () => void
}

/** Opens a device that is always full. */
function openFullDisk(): Output {
  const fd = openSync('/dev/full', 'w')
  return { fd, close: () => closeSync(fd) }
}

/** Opens a pipe that nothing reads from. */
function openStoppedPipe(): Output {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-pipe-'))
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = openSync(pipe, constants.O_RDWR)
  const fd = openSync(pipe, constants.O_WRONLY)
  return {
    fd,
    close() {
      for (const end of [fd, reader]) closeSync(end)
      rmSync(folder, { recursive: true })
    },
  }
}

async function startWith(
  output: Output,
  workers: number,
  { variables = {}, isShared = false }: { variables?: Record<string, string>; isShared?: boolean } = {},
) {
  const port = await findFreePort()
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, PORT: String(port), WORKERS: String(workers), DRAIN_DELAY: '0s', ...variables }
  const words = await programWords(FULL ? 'main' : 'small-log-buffer')
  const folder = mkdtempSync(join(tmpdir(), 'trimint-log-'))
  const child = spawn(process.execPath, [...words], {
    cwd: folder,
    env,
    stdio: ['ignore', output.fd, isShared ? output.fd : 'pipe'],
  })
  let err = ''
  child.stderr?.on('data', (chunk) => {
    err += chunk
  })
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const url = `http://127.0.0.1:${port}`
  const statusOf = (path: string) => fetch(url + path).then(({ status }) => status, String)
  await expect.poll(() => statusOf('/healthz'), PATIENT).toBe(200)
  return {
    pid: child.pid ?? 0,
    port,
    url,
    statusOf,
    err: () => err,
    exited,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      rmSync(folder, { recursive: true, force: true })
      output.close()
    },
  }
}

type Started = Awaited<ReturnType<typeof startWith>>

/** Sends refused requests, each of which writes a line. */
async function refuseMany({ port }: Started): Promise<void> {
  const id = 'x'.repeat(128)
  const request = `GET /token HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`
  const callers = Array.from({ length: CONNECTIONS }, async () => {
    const socket = connect(port, '127.0.0.1')
    let answers = 0
    let incomplete = ''
    socket.on('data', (chunk) => {
      const pieces = `${incomplete}${chunk}`.split('HTTP/1.1 401')
      answers += pieces.length - 1
      incomplete = pieces.at(-1)?.slice(-11) ?? ''
    })
    const lost = once(socket, 'close').then(() => {
      throw new Error('the connection was closed')
    })
    lost.catch(() => undefined)
    for (let round = 0; round < ROUNDS; round++) {
      socket.write(request.repeat(PIPELINED))
      while (answers < (round + 1) * PIPELINED) await Promise.race([once(socket, 'data'), lost])
    }
    socket.destroy()
  })
  await Promise.all(callers)
}

/** MiB of a process and its children. */
function memoryOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  return [pid, ...children]
    .map((one) => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0) / 1024)
    .reduce((sum, one) => sum + one, 0)
}

const WORKERS = [1, 2]

const OUTPUTS = [
  {
    what: 'on a full disk',
    open: openFullDisk,
    metrics: ['trimint_log_errors_total', 'trimint_log_lines_dropped_total'],
    // The short run combines each output with one number of workers where the number matters less.
    workers: FULL ? WORKERS : [1],
  },
  {
    what: 'in a pipe whose reader has stopped',
    open: openStoppedPipe,
    metrics: ['trimint_log_lines_dropped_total'],
    workers: FULL ? WORKERS : [2],
  },
]

describe.skipIf(!existsSync('/dev/full')).each(OUTPUTS)(
  'with standard output $what',
  ({ open, metrics, workers: chosen }) => {
    test.each(WORKERS)(
      'keeps answering in bounded memory, says so, and ends on SIGTERM, with WORKERS=%s',
      { timeout: TIMEOUT },
      async (workers) => {
        await using trimint = await startWith(open(), workers)
        const processes = workers === 1 ? 1 : workers + 1
        const before = memoryOf(trimint.pid)
        await refuseMany(trimint)
        expect(await trimint.statusOf('/readyz')).toBe(200)
        expect(memoryOf(trimint.pid) - before).toBeLessThan(MAX_GROWTH * processes)
        const reports = () => trimint.err().match(/the log cannot be written: /g)?.length
        await expect.poll(reports, PATIENT).toBeGreaterThan(0)
        // A process reports once. Workers drop lines too if the primary cannot keep up.
        expect(reports()).toBeLessThanOrEqual(processes)
        const scrape = async () => (await fetch(`${trimint.url}/metrics`)).text()
        for (const metric of metrics) await expect.poll(scrape, PATIENT).toMatch(new RegExp(`^${metric} [1-9]`, 'm'))
        const startedAt = performance.now()
        trimint.kill('SIGTERM')
        expect(await trimint.exited).toEqual([0, null])
        expect(performance.now() - startedAt).toBeLessThan(MAX_END_MS)
      },
    )

    test.each(chosen)(
      'keeps answering and ends on SIGTERM where standard error cannot be written either, with WORKERS=%s',
      { timeout: TIMEOUT },
      async (workers) => {
        await using trimint = await startWith(open(), workers, { isShared: true })
        await refuseMany(trimint)
        expect(await trimint.statusOf('/readyz')).toBe(200)
        const startedAt = performance.now()
        trimint.kill('SIGTERM')
        expect(await trimint.exited).toEqual([0, null])
        expect(performance.now() - startedAt).toBeLessThan(MAX_END_MS)
      },
    )

    test.each(chosen)('ends at once on a second signal, with WORKERS=%s', { timeout: TIMEOUT }, async (workers) => {
      await using trimint = await startWith(open(), workers, {
        variables: { DRAIN_DELAY: '10m', DRAIN_TIMEOUT: '10m' },
      })
      await Promise.all(Array.from({ length: 500 }, () => trimint.statusOf('/token')))
      trimint.kill('SIGTERM')
      await expect.poll(() => trimint.statusOf('/readyz'), PATIENT).toBe(503)
      const startedAt = performance.now()
      trimint.kill('SIGTERM')
      expect(await trimint.exited).toEqual([1, null])
      expect(performance.now() - startedAt).toBeLessThan(MAX_END_MS)
    })
  },
)
