// Start-up and idle memory, beside an empty Fastify app. Start-up is the time from spawning Node to the first answer of
// 200: a BWS token from Trimint, GET / from Fastify. Trimint is the built package. "First start" disables the compile
// cache that earlier starts filled.

import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { findFreePort } from '../../test/support/ports.ts'
import { PACKAGE_WORDS, writeConfiguration } from '../candidates/trimint.ts'
import { BWS } from '../candidates/workloads.ts'
import { formatRange, formatVerdict, printTable, say } from '../command-line.ts'
import type { BenchEnvironment } from '../environment.ts'
import { formatRequest, requestOnce } from '../load/http.ts'
import { type MeasuredProcess, startNode } from '../process.ts'
import { median, spread } from '../statistics.ts'

/** Shorter than the differences that are measured. */
const POLL_INTERVAL_MS = 2
const START_TIMEOUT_MS = 60_000
const IDLE_MS = 5_000
/** How many processes of each program hold memory at the same time. */
const IDLE_PROCESSES = 3

/** The limit of Trimint's start-up, as a ratio to Fastify's. */
const START_TARGET = 1.6
/** The limit of Trimint's idle memory beyond Fastify's. */
const MEMORY_TARGET_MB = 60

interface Program {
  readonly title: string
  readonly words: readonly string[]
  readonly request: string
  readonly env?: Readonly<Record<string, string>>
}

const FASTIFY: Program = {
  title: 'empty Fastify app',
  words: [fileURLToPath(import.meta.resolve('../candidates/fastify-server.ts'))],
  request: formatRequest({ method: 'GET', path: '/' }),
}
const TRIMINT: Program = { title: 'Trimint', words: PACKAGE_WORDS, request: BWS.request }
const FIRST_START: Program = { ...TRIMINT, title: 'Trimint, first start', env: { NODE_DISABLE_COMPILE_CACHE: '1' } }
const PROGRAMS = [FASTIFY, TRIMINT, FIRST_START]

export async function runStart(environment: BenchEnvironment, rounds: number): Promise<void> {
  const folder = join(environment.folder, 'start')
  await writeConfiguration(folder, 'sqlite:./trimint.db')
  const tookMs = PROGRAMS.map((): number[] => [])
  // The first start of each is not counted: it reads files from the disk and creates the store's.
  for (let round = 0; round <= rounds; round++) {
    say(`start-up, round ${round} of ${rounds}`)
    for (const [index, program] of PROGRAMS.entries()) {
      await using started = await start(program, folder)
      if (round > 0) tookMs[index]?.push(started.tookMs)
    }
  }
  const base = median(tookMs[0] ?? [])
  printTable(
    ['start to first answer, ms', 'median', 'least to most', 'ratio', 'target', ''],
    PROGRAMS.map(({ title }, index) => {
      const took = spread(tookMs[index] ?? [])
      const ratio = took.median / base
      const judged = index === 1 ? [`≤ ${START_TARGET}`, formatVerdict(ratio <= START_TARGET)] : ['', '']
      return [title, took.median.toFixed(0), formatRange(took, 0), ratio.toFixed(2), ...judged]
    }),
  )
  const memory = [spread(await measureMemory(FASTIFY, folder)), spread(await measureMemory(TRIMINT, folder))]
  const [fastifyMb = Number.NaN, trimintMb = Number.NaN] = memory.map((mb) => mb.median)
  printTable(
    [`idle memory after ${IDLE_MS / 1000} s, MB`, 'median', 'least to most'],
    memory.map((mb, index) => [PROGRAMS[index]?.title ?? '', mb.median.toFixed(0), formatRange(mb, 0)]),
  )
  const more = trimintMb - fastifyMb
  const verdict = formatVerdict(more <= MEMORY_TARGET_MB)
  process.stdout.write(`difference: ${more.toFixed(0)} MB (target: at most ${MEMORY_TARGET_MB} MB): ${verdict}\n`)
}

interface Started extends AsyncDisposable {
  readonly tookMs: number
  readonly server: MeasuredProcess
}

async function start({ words, request, env }: Program, folder: string): Promise<Started> {
  const port = await findFreePort()
  const began = performance.now()
  const server = startNode(words, { core: undefined, folder, env: { PORT: String(port), ...env } })
  while ((await requestOnce(port, request).catch(() => undefined))?.status !== 200) {
    const isLate = performance.now() - began > START_TIMEOUT_MS
    if (server.child.exitCode !== null || isLate) throw new Error(`${words.join(' ')} did not start: ${server.log}`)
    await sleep(POLL_INTERVAL_MS)
  }
  const tookMs = performance.now() - began
  return {
    tookMs,
    server,
    async [Symbol.asyncDispose]() {
      const exit = once(server.child, 'exit')
      // Node writes its compile cache when the process ends in an orderly way.
      server.child.kill('SIGINT')
      await exit
    },
  }
}

async function measureMemory(program: Program, folder: string): Promise<number[]> {
  await using stack = new AsyncDisposableStack()
  const servers: MeasuredProcess[] = []
  for (let count = 0; count < IDLE_PROCESSES; count++) servers.push(stack.use(await start(program, folder)).server)
  await sleep(IDLE_MS)
  return Promise.all(servers.map((server) => server.memoryMb()))
}
