// How fast Trimint is beside its peers, and beside bare node:http that sends the same bytes: throughput, processor time, latency at half
// load, memory. In each round every subject is measured in turn, each with bare node:http directly beside it; the ratios of the rounds
// count, not the rates. Every answer is checked. Believe the processor
// time more than the rates where others use the machine.
//
//   npm run bench -- [--quick] [--only NAME,NAME] [--seconds N] [--rounds N] [--tokens N] [--json FILE]

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type LiveTokens, measureLiveTokens } from './live-tokens.ts'
import { startGenerator } from './load/client.ts'
import { chooseCores, describeMachine } from './machine.ts'
import { type Contestant, enter, measureHalfLoad, measureRound, warmUp } from './measure.ts'
import { printLiveTokens, printResults, summarise } from './report.ts'
import { startBare } from './subjects/bare.ts'
import { installPeers, PEERS, whyMissing } from './subjects/peers.ts'
import type { Subject } from './subjects/subject.ts'
import { createSurroundings } from './subjects/surroundings.ts'
import { HEADLINES, WORKLOADS } from './subjects/workloads.ts'
import { adopt, readCount } from './support.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    /** Live tokens, for live-tokens. */
    tokens: { type: 'string', default: '1000000' },
    json: { type: 'string' },
  },
})
const seconds = readCount(values.seconds ?? (values.quick ? '1' : '2'), 600)
const rounds = readCount(values.rounds ?? (values.quick ? '3' : '7'), 100)
const tokens = readCount(values.tokens, 10_000_000)
const latencyRounds = values.quick ? 3 : 5

/** What is no subject, but can be named in `--only`. */
const LIVE = 'live-tokens'
const START = 'start'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

const candidates = values.only === undefined && values.quick ? HEADLINES : [...WORKLOADS, ...PEERS]
const names = values.only?.split(',')
const allowed = [...candidates.map(({ name }) => name), LIVE, START]
const unknown = names?.filter((name) => !allowed.includes(name)) ?? []
if (unknown.length > 0) throw new Error(`no such name: ${unknown.join(', ')}; allowed: ${allowed.join(', ')}`)
const chosen = candidates.filter(({ name }) => names?.includes(name) ?? true)
const subjects = chosen.filter((subject) => {
  const reason = whyMissing(subject)
  if (reason !== undefined) say(`skipped: ${subject.title}: ${reason}`)
  return reason === undefined
})
if (subjects.some(({ isPeer }) => isPeer)) await installPeers()

const cores = chooseCores()
const machine = describeMachine(cores)
await using surroundings = await createSurroundings(cores)
await using generator = startGenerator(cores.generator)
await using bare = await startBare(cores.server)
const apparatus = { generator, bare }

let contestants: Contestant[] = []
const failures: { readonly name: string; readonly error: string }[] = []
await using running = new AsyncDisposableStack()

/** A wrong answer ends a subject's part in the benchmark, and with it the success of the whole. */
async function attempt<Result>({ name, title }: Subject, step: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await step()
  } catch (error) {
    const { message } = error as Error
    say(`FAILED: ${title}: ${message}`)
    failures.push({ name, error: message })
    contestants = contestants.filter(({ subject }) => subject.name !== name)
    return undefined
  }
}

async function forEach(step: (contestant: Contestant) => Promise<void>): Promise<void> {
  for (const contestant of contestants) await attempt(contestant.subject, () => step(contestant))
}

for (const subject of subjects) {
  say(`starting: ${subject.title}`)
  const contestant = await attempt(subject, async () => {
    const started = await subject.start(surroundings)
    running.use(started.process)
    return enter(subject, started)
  })
  if (contestant) contestants.push(contestant)
}
say('warming up')
await forEach((contestant) => warmUp(apparatus, contestant))
for (let round = 0; round < rounds; round++) {
  say(`round ${round + 1} of ${rounds}`)
  await forEach((contestant) => measureRound(apparatus, contestant, { seconds, round }))
}
for (let round = 0; round < latencyRounds; round++) {
  say(`at half load, round ${round + 1} of ${latencyRounds}`)
  await forEach((contestant) => measureHalfLoad(apparatus, contestant, { seconds, round }))
}
const results = await Promise.all(contestants.map(summarise))
// They have the core for themselves from here on.
await running.disposeAsync()

const liveTokens: LiveTokens[] = []
if (names?.includes(LIVE) ?? !values.quick) {
  const { folder } = surroundings
  for (const kind of ['SQLite', 'Redis'] as const) {
    say(`live tokens: ${kind}`)
    try {
      liveTokens.push(await measureLiveTokens(kind, { generator, cores, folder, tokens, seconds, rounds }))
    } catch (error) {
      say(`FAILED: live tokens, ${kind}: ${(error as Error).message}`)
      failures.push({ name: LIVE, error: (error as Error).message })
    }
  }
}

process.stdout.write(
  `${machine.date}, ${machine.cores} cores (${machine.model}), Node ${machine.node}; ${machine.pinning}\n`,
)
if (results.length > 0) printResults(results)
if (liveTokens.length > 0) printLiveTokens(liveTokens)
if (names?.includes(START) ?? !values.quick) await runStartBenchmark()
for (const { name, error } of failures) process.stdout.write(`**failed**: ${name}: ${error.split('\n', 1)[0]}\n`)
if (failures.length > 0) process.exitCode = 1
if (values.json) {
  await writeFile(
    values.json,
    `${JSON.stringify({ machine, seconds, rounds, results, liveTokens, failures }, null, 2)}\n`,
  )
}

/** Start-up and idle memory beside an empty Fastify app: a benchmark of its own, whose tables follow. */
async function runStartBenchmark(): Promise<void> {
  say('start-up')
  const script = fileURLToPath(import.meta.resolve('./start.ts'))
  const child = adopt(spawn(process.execPath, [script], { stdio: ['ignore', 'inherit', 'inherit'] }))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) failures.push({ name: START, error: 'it ended with an error' })
}
