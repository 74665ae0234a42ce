// Shows what a storm of failing logins does to everyone else: 64 accounts fail in parallel, without pause and with the guard
// off, while GET /token is asked 200 times a second.
//
//   node bench/login-storm.ts [--seconds 10] [--accounts 64] [--polite]
//
// Phases quiet, loaded, quiet, loaded. Requests for tokens are sent when their time has come, whether or not the ones before
// are answered, and a latency is counted from the time it should have been sent: a server that stalls cannot hide it. `late`
// is what of that this process itself was behind, because its timer or the processor let it wait. The storm comes from a
// process of its own. With --polite an account that is answered 503 waits as long as Retry-After says.
//
// There is a 503 only where more accounts fail than may wait: 65 on two processors, 65 more with each further one
// (src/app/server.ts). More --accounts than that, without pause, are a flood of requests rather than of passwords.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Client, Pool } from 'undici'
import {
  adopt,
  type BenchmarkServer,
  createAccounts,
  loginRequest,
  namesOf,
  percentile,
  printTable,
  readCount,
  startServer,
  WRONG_PASSWORD,
} from './support.ts'

/** Requests for tokens a second. */
const RATE = 200
/** Milliseconds between the start of a storm and the first request that is measured: its queue is full by then. */
const RAMP = 1_500
/** Milliseconds that the last replies of a storm may take. */
const TAIL = 10_000
/** Logins that one account tries at most. */
const MOST_LOGINS = 100_000
const APP = { id: 'bench-app', secret: 'bench-secret' }

/** How many logins were answered how. */
interface Answers {
  refused: number
  overloaded: number
  other: number
}

interface Sample {
  /** Milliseconds from the time it should have been sent to the whole reply. */
  readonly latency: number
  /** Milliseconds of these until it was sent. */
  readonly late: number
}

interface Phase {
  readonly label: string
  readonly samples: readonly Sample[]
  readonly answers?: Answers
  readonly peakMemory: number | undefined
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    accounts: { type: 'string', default: '64' },
    polite: { type: 'boolean', default: false },
    // The program starts itself with this one: where the storm goes.
    storm: { type: 'string' },
  },
})
const seconds = readCount(values.seconds, 300)
const names = namesOf('account', readCount(values.accounts, 999))

if (values.storm === undefined) await benchmark()
else await storm(values.storm)

async function benchmark(): Promise<void> {
  await using server = await startServer({
    bws: { apps: [{ id: APP.id, secret: `plain:${APP.secret}`, bcids: '*' }] },
    idscan: { accounts: await createAccounts('account', names.length) },
  })
  const pool = new Pool(server.url, { connections: 32, pipelining: 1 })
  await measure(pool, 2)
  const phases: Phase[] = []
  for (const label of ['quiet', 'loaded', 'quiet', 'loaded']) {
    phases.push(label === 'quiet' ? await runQuiet(pool, server) : await runLoaded(pool, server))
  }
  await pool.destroy()
  report(phases)
}

async function runQuiet(pool: Pool, server: BenchmarkServer): Promise<Phase> {
  return { label: 'quiet', samples: await measure(pool, seconds), peakMemory: await server.peakMemory() }
}

async function runLoaded(pool: Pool, server: BenchmarkServer): Promise<Phase> {
  const flags = ['--seconds', values.seconds, '--accounts', values.accounts, ...(values.polite ? ['--polite'] : [])]
  const child = adopt(fork(import.meta.filename, ['--storm', server.url, ...flags]))
  const timeout = AbortSignal.timeout(RAMP + seconds * 1000 + 2 * TAIL)
  const ended = Promise.all([once(child, 'message', { signal: timeout }), once(child, 'exit', { signal: timeout })])
  await sleep(RAMP)
  const samples = await measure(pool, seconds)
  const [[answers]] = await ended
  return { label: 'loaded', samples, answers, peakMemory: await server.peakMemory() }
}

/** Asks for tokens at {@link RATE}, whatever becomes of the replies. */
async function measure(pool: Pool, seconds: number): Promise<Sample[]> {
  const start = performance.now()
  const replies: Promise<Sample>[] = []
  for (let index = 0; index < RATE * seconds; index += 1) {
    const due = start + (index * 1000) / RATE
    for (let wait = due - performance.now(); wait > 0; wait = due - performance.now()) await sleep(Math.ceil(wait))
    replies.push(askForToken(pool, due))
  }
  return Promise.all(replies)
}

async function askForToken(pool: Pool, due: number): Promise<Sample> {
  const late = performance.now() - due
  const { statusCode, body } = await pool.request({
    path: `/token?id=${APP.id}&bcid=bws.112.12345`,
    method: 'GET',
    headers: { authorization: `Basic ${Buffer.from(`${APP.id}:${APP.secret}`).toString('base64')}` },
  })
  const text = await body.text()
  if (statusCode !== 200) throw new Error(`unexpected reply: ${statusCode} ${text}`)
  return { latency: performance.now() - due, late }
}

/** The other process: every account tries a wrong password, again and again. */
async function storm(url: string): Promise<void> {
  process.once('disconnect', () => process.exit(1))
  const answers: Answers = { refused: 0, overloaded: 0, other: 0 }
  const end = performance.now() + RAMP + seconds * 1000
  await Promise.all(names.map((name) => fail(url, name, end, answers)))
  process.send?.(answers, () => process.exit())
}

async function fail(url: string, name: string, end: number, answers: Answers): Promise<void> {
  const client = new Client(url, { pipelining: 1 })
  const request = loginRequest(name, WRONG_PASSWORD)
  for (let logins = 0; logins < MOST_LOGINS && performance.now() < end; logins += 1) {
    const { statusCode, headers, body } = await client.request({ ...request, headersTimeout: TAIL })
    await body.dump()
    answers[statusCode === 400 ? 'refused' : statusCode === 503 ? 'overloaded' : 'other'] += 1
    if (values.polite && statusCode === 503) await sleep(Number(headers['retry-after']) * 1000)
  }
  await client.close()
}

function report(phases: readonly Phase[]): void {
  const manner = values.polite ? 'waiting as Retry-After says' : 'without pause'
  process.stdout.write(
    `${names.length} accounts failing ${manner}, ${availableParallelism()} processors. GET /token ${RATE} times a second ` +
      `for ${seconds} s in each phase, in milliseconds; logins answered; the most memory of the server so far.\n`,
  )
  printTable(
    ['phase', 'p50', 'p99', 'max', 'late p50', 'late p99', '400', '503', 'other', 'memory (MiB)'],
    phases.map((phase) => [phase.label, ...describeLatency(phase.samples), ...describeServer(phase)]),
  )
}

function describeLatency(samples: readonly Sample[]): string[] {
  const latencies = samples.map(({ latency }) => latency)
  const lates = samples.map(({ late }) => late)
  const numbers = [percentile(latencies, 0.5), percentile(latencies, 0.99), Math.max(...latencies)]
  return [...numbers, percentile(lates, 0.5), percentile(lates, 0.99)].map((number) => number.toFixed(1))
}

function describeServer({ answers, peakMemory }: Phase): string[] {
  const counts = answers ? [answers.refused, answers.overloaded, answers.other].map(String) : ['', '', '']
  return [...counts, peakMemory?.toFixed(0) ?? '?']
}
