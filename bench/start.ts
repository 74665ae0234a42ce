// Start-up and idle memory, beside an empty Fastify app in the same run.
//
//   npm run bench:start [-- --starts N --idle SECONDS]     15 starts of each, 5 seconds by default
//
// Start-up is the time from spawning Node to the first answer of 200 (a BWS token; GET / of Fastify). "First start" disables the
// compile cache that earlier starts filled. Idle memory is VmRSS, which needs Linux's /proc.

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findFreePort } from '../test/support/ports.ts'
import { SECRETS, START_WORDS, writeConfiguration } from './candidates/trimint.ts'
import { readCount } from './options.ts'
import { printTable } from './print-table.ts'
import { type MeasuredProcess, startNode } from './process.ts'
import { median, percentile } from './statistics.ts'

const { values } = parseArgs({
  options: { starts: { type: 'string', default: '15' }, idle: { type: 'string', default: '5' } },
})
const starts = readCount(values.starts, 1_000)
const idleSeconds = readCount(values.idle, 600)

/** Shorter than the differences that are measured. */
const POLL_INTERVAL_MS = 2
const START_TIMEOUT_MS = 30_000
/** How many processes of each program hold memory at the same time. */
const IDLE_PROCESSES = 3

/** The limits of Trimint's start-up, as a ratio to Fastify's, and of its additional idle memory. */
const START_TARGET = 2
const MEMORY_TARGET_MB = 60

interface Program {
  readonly title: string
  readonly words: readonly string[]
  readonly path: string
  readonly env?: Readonly<Record<string, string>>
}

const FASTIFY: Program = {
  title: 'empty Fastify app',
  words: [fileURLToPath(import.meta.resolve('./candidates/fastify-server.ts'))],
  path: '/',
}
const TRIMINT: Program = { title: 'Trimint', words: START_WORDS, path: '/token?id=shop&bcid=bws.112.12345' }
const FIRST_START: Program = { ...TRIMINT, title: 'Trimint, first start', env: { NODE_DISABLE_COMPILE_CACHE: '1' } }
const PROGRAMS = [FASTIFY, TRIMINT, FIRST_START]

interface Started extends AsyncDisposable {
  readonly tookMs: number
  readonly process: MeasuredProcess
}

async function start({ words, path, env }: Program, folder: string): Promise<Started> {
  const port = await findFreePort()
  const began = performance.now()
  const process = startNode(words, { core: undefined, folder, env: { PORT: String(port), ...env } })
  const { child, log } = process
  while ((await requestStatus(port, path)) !== 200) {
    const isLate = performance.now() - began > START_TIMEOUT_MS
    if (child.exitCode !== null || isLate) throw new Error(`${words.join(' ')} did not start; its log: ${log}`)
    await sleep(POLL_INTERVAL_MS)
  }
  const tookMs = performance.now() - began
  return {
    tookMs,
    process,
    async [Symbol.asyncDispose]() {
      const exit = once(child, 'exit')
      // Node writes its compile cache when the process ends in an orderly way.
      child.kill('SIGINT')
      await exit
    },
  }
}

/** Returns the status of an answer on a new connection; 0 while no server listens. */
function requestStatus(port: number, path: string): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const agent = new Agent({ keepAlive: false })
  const request = get({ host: '127.0.0.1', port, path, auth: `shop:${SECRETS.app}`, agent }, (response) => {
    response.resume()
    response.once('end', () => resolve(response.statusCode ?? 0))
  })
  request.once('error', () => resolve(0))
  return promise
}

async function measureStart(program: Program, folder: string): Promise<number> {
  await using started = await start(program, folder)
  return started.tookMs
}

/** Returns the idle memory of each process of a program, in MB. */
async function measureMemory(program: Program, folder: string): Promise<number[]> {
  await using stack = new AsyncDisposableStack()
  const running: MeasuredProcess[] = []
  for (let count = 0; count < IDLE_PROCESSES; count++) running.push(stack.use(await start(program, folder)).process)
  await sleep(idleSeconds * 1000)
  return Promise.all(running.map((process) => process.memoryMb()))
}

function row(title: string, list: readonly number[]): string[] {
  const numbers = [median(list), Math.min(...list), percentile(list, 0.25), percentile(list, 0.75), Math.max(...list)]
  return [title, ...numbers.map((value) => value.toFixed(0))]
}

const SPREAD_HEAD = ['median', 'least', '25 %', '75 %', 'most']
const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-start-'))
try {
  await writeConfiguration(folder, 'sqlite:./trimint.db')
  const took = PROGRAMS.map((): number[] => [])
  // The first start of each is not counted: it reads files from the disk and creates the store's.
  for (let count = 0; count <= starts; count++) {
    for (const [index, program] of PROGRAMS.entries()) {
      const tookMs = await measureStart(program, folder)
      if (count > 0) took[index]?.push(tookMs)
    }
  }
  const [empty = [], service = [], first = []] = took
  printTable(
    ['start to first answer, ms', ...SPREAD_HEAD],
    PROGRAMS.map(({ title }, index) => row(title, took[index] ?? [])),
  )
  const ratio = (list: readonly number[]): string => (median(list) / median(empty)).toFixed(2)
  process.stdout.write(
    `ratio of the medians: ${ratio(service)} (target: at most ${START_TARGET}); first start: ${ratio(first)}\n`,
  )
  const [emptyMb, serviceMb] = [await measureMemory(FASTIFY, folder), await measureMemory(TRIMINT, folder)]
  printTable(
    [`idle memory after ${idleSeconds} s, MB`, ...SPREAD_HEAD],
    [row(FASTIFY.title, emptyMb), row(TRIMINT.title, serviceMb)],
  )
  const difference = median(serviceMb) - median(emptyMb)
  process.stdout.write(
    `difference of the medians: ${difference.toFixed(0)} MB (target: at most ${MEMORY_TARGET_MB} MB)\n`,
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}
