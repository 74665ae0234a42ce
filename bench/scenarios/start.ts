// Start-up and idle memory, beside an empty Fastify app. Start-up is the time from spawning Node to the first answer of
// 200: a BWS token from Trimint, GET / from Fastify. Trimint is the built package. "First start" disables the compile
// cache that earlier starts filled.

import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { PACKAGE_COMMAND, writeConfiguration } from '../candidates/trimint.ts'
import { BWS } from '../candidates/workloads.ts'
import type { BenchEnvironment } from '../environment.ts'
import { formatRequest } from '../load/http.ts'
import type { Options } from '../measure.ts'
import { formatSpread, formatVerdict, median, printTable, type Spread, say, spread } from '../report.ts'
import { type Server, startServer } from '../server.ts'

const IDLE_MS = 5_000
/** How many processes of each program hold memory at the same time. */
const IDLE_PROCESSES = 3

/** The limit of Trimint's start-up, as a ratio to Fastify's. */
const START_TARGET = 1.6
/** The limit of Trimint's idle memory beyond Fastify's. */
const MEMORY_TARGET_MB = 60

interface Program {
  readonly title: string
  readonly command: readonly string[]
  readonly request: string
  readonly env?: Readonly<Record<string, string>>
}

const FASTIFY: Program = {
  title: 'empty Fastify app',
  command: [process.execPath, fileURLToPath(import.meta.resolve('../candidates/fastify-server.ts'))],
  request: formatRequest('GET /'),
}
const TRIMINT: Program = { title: 'Trimint', command: PACKAGE_COMMAND, request: BWS.request }
const FIRST_START: Program = { ...TRIMINT, title: 'Trimint, first start', env: { NODE_DISABLE_COMPILE_CACHE: '1' } }
const PROGRAMS = [FASTIFY, TRIMINT, FIRST_START]

export async function runStart(environment: BenchEnvironment, { rounds }: Options): Promise<void> {
  const { folder } = environment.place('start')
  await writeConfiguration(folder, 'sqlite:./trimint.db')
  const tookMs = PROGRAMS.map((): number[] => [])
  // The first start of each is not counted: it reads files from the disk and creates the store's.
  for (let round = 0; round <= rounds; round++) {
    say(`start-up, round ${round} of ${rounds}`)
    for (const [index, program] of PROGRAMS.entries()) {
      await using server = await start(program, folder)
      if (round > 0) tookMs[index]?.push(server.startMs)
    }
  }
  const base = median(tookMs[0] ?? [])
  printTable(
    ['start to first answer, ms', 'median', 'least to most', 'ratio', 'target', ''],
    PROGRAMS.map((program, index) => {
      const took = spread(tookMs[index] ?? [])
      const ratio = took.median / base
      const verdict = formatVerdict(ratio, program === TRIMINT ? { atMost: START_TARGET } : {})
      return [program.title, ...formatSpread(took, 0), ratio.toFixed(2), ...verdict]
    }),
  )
  const [fastify, trimint] = [await measureMemory(FASTIFY, folder), await measureMemory(TRIMINT, folder)]
  const more = trimint.median - fastify.median
  const verdict = formatVerdict(more, { atMost: MEMORY_TARGET_MB })
  printTable(
    [`idle memory after ${IDLE_MS / 1000} s, MB`, 'median', 'least to most', 'difference', 'target', ''],
    [
      [FASTIFY.title, ...formatSpread(fastify, 0), '', '', ''],
      [TRIMINT.title, ...formatSpread(trimint, 0), more.toFixed(0), ...verdict],
    ],
  )
}

function start({ command, request, env }: Program, folder: string): Promise<Server> {
  return startServer(command, { folder, env: { DRAIN_DELAY: '0s', ...env } }, request)
}

async function measureMemory(program: Program, folder: string): Promise<Spread> {
  await using stack = new AsyncDisposableStack()
  const servers: Server[] = []
  for (let count = 0; count < IDLE_PROCESSES; count++) servers.push(stack.use(await start(program, folder)))
  await sleep(IDLE_MS)
  return spread(servers.map((server) => server.usage().residentMb))
}
