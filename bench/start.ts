// How long the service takes from its start to the first token, and how much memory it holds when idle, beside an empty Fastify
// app in the same run. Start: from spawning Node until the first answer of 200 (GET /token, GET /), in turns; also without what
// earlier starts have left in the compile cache, as the very first start is. Memory: VmRSS after some idle seconds (needs /proc).
//
//   node bench/start.ts [--starts N] [--idle SECONDS]       (15 starts of each, 5 seconds unless told otherwise)

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { ConfigurationInput } from '../src/config/schema.ts'
import { findFreePort } from '../test/support/ports.ts'
import { adopt, percentile, printTable, readCount } from './support.ts'

const { values } = parseArgs({
  options: { starts: { type: 'string', default: '15' }, idle: { type: 'string', default: '5' } },
})
const starts = readCount(values.starts, 1_000)
const idle = readCount(values.idle, 600)

/** Milliseconds between two attempts to get an answer: less than what is measured can differ by. */
const PAUSE = 2
/** Milliseconds until a server that does not answer is given up. */
const PATIENCE = 30_000
/** How many of each are held idle at a time. */
const IDLERS = 3

const SECRET = 'the secret of the app'
const DIGEST = createHash('sha256').update(SECRET).digest('hex')

/** Every contract, as an operator has them, on the default store: a file. */
const configuration: ConfigurationInput = {
  publicUrl: 'http://127.0.0.1:8080',
  store: 'sqlite:./trimint.db',
  keys: [{ secret: randomBytes(32).toString('base64url') }],
  bws: { apps: [{ id: 'app', secret: `sha256:${DIGEST}`, bcids: '*' }] },
  idscan: {
    accounts: [
      {
        username: 'demo',
        password: '$argon2id$v=19$m=19456,t=2,p=1$xoidRLqFn/n5PiPVtd927A$5I1+28qJ7kpnXFkJ25W/EUjgAiviR3BSnXR/rAbI+T8',
        areas: ['scanning'],
      },
    ],
  },
  nevisfido: { appId: 'https://fido.example.com/facets', users: '*' },
}

interface Program {
  readonly name: string
  /** What Node is given before the script, as by the npm scripts. */
  readonly options?: readonly string[]
  readonly script: string
  readonly path: string
  readonly variables?: Readonly<Record<string, string>>
}

const TOKEN = '/token?id=app&bcid=bws.112.12345'
const EMPTY: Program = {
  name: 'empty Fastify app',
  script: fileURLToPath(import.meta.resolve('./empty-app.ts')),
  path: '/',
}
const SERVICE: Program = {
  name: 'Trimint',
  options: ['--require', fileURLToPath(import.meta.resolve('../src/preload.cjs'))],
  script: fileURLToPath(import.meta.resolve('../src/main.ts')),
  path: TOKEN,
}
const FIRST: Program = { ...SERVICE, name: 'Trimint, first start', variables: { NODE_DISABLE_COMPILE_CACHE: '1' } }
const PROGRAMS = [EMPTY, SERVICE, FIRST]

interface Started extends AsyncDisposable {
  /** Milliseconds until it gave the first answer. */
  readonly took: number
  readonly child: ChildProcess
}

async function start({ options = [], script, path, variables }: Program, folder: string): Promise<Started> {
  const port = await findFreePort()
  const { PATH = '', HOME = '' } = process.env
  const began = performance.now()
  const child = adopt(
    spawn(process.execPath, [...options, script], {
      cwd: folder,
      env: { PATH, HOME, PORT: String(port), ...variables },
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  )
  while ((await ask(port, path)) !== 200) {
    if (child.exitCode !== null || performance.now() - began > PATIENCE) throw new Error(`${script} did not start`)
    await sleep(PAUSE)
  }
  const took = performance.now() - began
  return {
    took,
    child,
    [Symbol.asyncDispose]: async () => {
      const exit = once(child, 'exit')
      // Not SIGKILL: the compile cache is written at the end of an orderly run.
      child.kill('SIGINT')
      await exit
    },
  }
}

/** The status of an answer; 0 while nobody listens. A connection of its own each time. */
function ask(port: number, path: string): Promise<number> {
  const agent = new Agent({ keepAlive: false })
  return new Promise((done) => {
    const request = get({ host: '127.0.0.1', port, path, auth: `app:${SECRET}`, agent }, (response) => {
      response.resume()
      response.once('end', () => done(response.statusCode ?? 0))
    })
    request.once('error', () => done(0))
  })
}

async function measureStart(program: Program, folder: string): Promise<number> {
  await using started = await start(program, folder)
  return started.took
}

/** MB. */
async function measureMemory(folder: string): Promise<number[][]> {
  await using stack = new AsyncDisposableStack()
  const running: ChildProcess[][] = []
  for (const program of [EMPTY, SERVICE]) {
    const children: ChildProcess[] = []
    for (let count = 0; count < IDLERS; count++) children.push(stack.use(await start(program, folder)).child)
    running.push(children)
  }
  await sleep(idle * 1000)
  return Promise.all(running.map((children) => Promise.all(children.map(({ pid }) => readMemory(pid)))))
}

async function readMemory(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return (Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) * 1024) / 1e6
}

const median = (list: readonly number[]): number => percentile(list, 0.5)
function row(name: string, list: readonly number[]): string[] {
  const numbers = [median(list), Math.min(...list), percentile(list, 0.25), percentile(list, 0.75), Math.max(...list)]
  return [name, ...numbers.map((value) => value.toFixed(0))]
}

const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-start-'))
try {
  await writeFile(join(folder, 'trimint.yaml'), JSON.stringify(configuration))
  const took = PROGRAMS.map((): number[] => [])
  // The first of each warms up: files that have to come from the disk, the store's file.
  for (let count = 0; count <= starts; count++) {
    for (const [index, program] of PROGRAMS.entries()) {
      const milliseconds = await measureStart(program, folder)
      if (count > 0) took[index]?.push(milliseconds)
    }
  }
  const [empty = [], service = [], first = []] = took
  printTable(
    ['start to first answer, ms', 'median', 'least', '25 %', '75 %', 'most'],
    PROGRAMS.map(({ name }, index) => row(name, took[index] ?? [])),
  )
  const ratio = (list: readonly number[]): string => (median(list) / median(empty)).toFixed(2)
  process.stdout.write(`ratio of the medians: ${ratio(service)} (target: at most 2); first start: ${ratio(first)}\n`)

  const [emptyMemory = [], serviceMemory = []] = await measureMemory(folder)
  printTable(
    [`idle memory after ${idle} s, MB`, 'median', 'least', '25 %', '75 %', 'most'],
    [row(EMPTY.name, emptyMemory), row(SERVICE.name, serviceMemory)],
  )
  const difference = median(serviceMemory) - median(emptyMemory)
  process.stdout.write(`difference of the medians: ${difference.toFixed(0)} MB (target: at most 60 MB)\n`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
