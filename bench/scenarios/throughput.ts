// Candidates beside bare node:http that sends the same bytes: rate, processor time, latency at half load.
// In each round each candidate and bare node:http are measured in turn; the ratio of the two is what counts.

import { type BareServer, startBare } from '../candidates/bare.ts'
import type { Candidate, Target } from '../candidates/candidate.ts'
import type { BenchEnvironment } from '../environment.ts'
import type { Requests } from '../load/client.ts'
import { type Answer, fillIn, requestOnce } from '../load/http.ts'
import { formatMedians, measurePair, measureStretch, type Options, type Pair, ratioOf } from '../measure.ts'
import { formatSpread, formatVerdict, median, printTable, say } from '../report.ts'
import type { Server } from '../server.ts'

/** Long enough for V8 to optimise the code of the server and of the generator. */
const WARM_UP_S = 4
/** At half load, requests arrive one by one and other code is hot. */
const HALF_LOAD_WARM_UP_S = 1.5
/** Short and many, so that a pause of the machine, or a whole collection of garbage, decides about few of them. */
const HALF_LOAD = { seconds: 0.25, rounds: 20 }

/** The p99 latency at half load to stay below, in multiples of bare node:http's. */
const P99_TARGET = 3

/** The measurements of bare node:http and a candidate. */
interface Figures {
  readonly candidate: Candidate
  readonly fullLoad: Pair[]
  readonly halfLoad: Pair[]
}

/** What one start of both servers adds to the figures. */
interface Entry {
  readonly figures: Figures
  readonly bare: Target
  readonly target: Target
}

/** The ratio is the median one to the rate of bare node:http. */
export type CandidateResult = Pick<Candidate, 'name' | 'title' | 'kind'> & { readonly ratio: number }

export async function runThroughput(
  environment: BenchEnvironment,
  candidates: readonly Candidate[],
  options: Options,
): Promise<CandidateResult[]> {
  const all = candidates.map((candidate): Figures => ({ candidate, fullLoad: [], halfLoad: [] }))
  for (let start = 1; start <= options.starts; start++) {
    say(`start ${start} of ${options.starts}`)
    await measureOneStart(environment, all, options)
  }
  report(all)
  return all.map(({ candidate: { name, title, kind }, fullLoad }) => {
    return { name, title, kind, ratio: ratioOf(fullLoad, ({ rate }) => rate).median }
  })
}

async function measureOneStart(
  environment: BenchEnvironment,
  all: readonly Figures[],
  { seconds, rounds }: Options,
): Promise<void> {
  await using bare = await startBare(environment)
  await using running = new AsyncDisposableStack()
  const entries: Entry[] = []
  for (const figures of all) {
    say(`starting: ${figures.candidate.title}`)
    const target = await figures.candidate.start(environment)
    running.use(target.server)
    entries.push({ figures, target, bare: await imitateFirstAnswer(bare, target) })
  }
  say('warming up')
  for (const entry of entries) await warmUp(environment, entry)
  for (let round = 0; round < rounds; round++) {
    say(`full load, round ${round + 1} of ${rounds}`)
    for (const { figures, bare, target } of entries) {
      const measure = (of: Target) => () => measureStretch(environment.generator, of, { seconds })
      figures.fullLoad.push(await measurePair(round, measure(bare), measure(target)))
    }
  }
  say('half load')
  for (let round = 0; round < HALF_LOAD.rounds; round++) {
    for (const { figures, bare, target } of entries) {
      const measure = (of: Target, side: 0 | 1) => {
        const rate = 0.5 * median(figures.fullLoad.slice(-rounds).map((pair) => pair[side].rate))
        return () => measureStretch(environment.generator, of, { seconds: HALF_LOAD.seconds, rate })
      }
      figures.halfLoad.push(await measurePair(round, measure(bare, 0), measure(target, 1)))
    }
  }
}

/** Sends one request, whose answer bare node:http is to imitate. */
async function imitateFirstAnswer(bare: BareServer, { server, requests, tokens }: Target): Promise<Target> {
  const { token } = tokens ? await ask(server, tokens) : { token: '' }
  const first = { request: fillIn(requests.request, token), expect: requests.expect }
  return bare.imitate((await ask(server, first)).answer, first)
}

async function ask({ port }: Server, { request, expect }: Requests): Promise<{ answer: Answer; token: string }> {
  const answer = await requestOnce(port, request)
  const match = new RegExp(expect).exec(answer.body)
  if (answer.status === 200 && match) return { answer, token: match[1] ?? '' }
  throw new Error(`unexpected answer; expected 200 ${expect}:\n${answer.head}\n\n${answer.body}`)
}

async function warmUp({ generator }: BenchEnvironment, { bare, target }: Entry): Promise<void> {
  const { rate } = await measureStretch(generator, target, { seconds: WARM_UP_S })
  await measureStretch(generator, target, { seconds: HALF_LOAD_WARM_UP_S, rate: rate / 2 })
  const { rate: bareRate } = await measureStretch(generator, bare, { seconds: 1 })
  await measureStretch(generator, bare, { seconds: 0.5, rate: bareRate / 2 })
}

function report(all: readonly Figures[]): void {
  printTable(
    ['throughput', 'bare node:http/s', 'candidate/s', 'ratio', 'least to most', 'target', ''],
    all.map(({ candidate: { title, target }, fullLoad }) => {
      const ratio = ratioOf(fullLoad, ({ rate }) => rate)
      const verdict = formatVerdict(ratio.median, { atLeast: target })
      return [title, ...formatMedians(fullLoad, 0, ({ rate }) => rate), ...formatSpread(ratio), ...verdict]
    }),
  )
  const head = ['bare, µs', 'candidate, µs', 'ratio', 'bare, core %', 'candidate, core %', 'generator']
  printTable(
    ['processor time an answer', ...head],
    all.map(({ candidate, fullLoad }) => [
      candidate.title,
      ...formatMedians(fullLoad, 1, ({ processorUs }) => processorUs),
      ratioOf(fullLoad, ({ processorUs }) => processorUs).median.toFixed(2),
      ...formatMedians(fullLoad, 0, ({ serverLoad }) => 100 * serverLoad),
      `${formatMedians(fullLoad, 0, ({ generatorLoad }) => 100 * generatorLoad).join(', ')} %`,
    ]),
  )
  printTable(
    ['half load, ms', 'bare p50', 'p50', 'bare p99', 'p99', 'ratio p99', 'least to most', 'target', ''],
    all.map(({ candidate: { title, kind }, halfLoad }) => {
      const p50 = formatMedians(halfLoad, 2, ({ latencyMs }) => latencyMs.p50)
      const p99 = formatMedians(halfLoad, 2, ({ latencyMs }) => latencyMs.p99)
      const ratio = ratioOf(halfLoad, ({ latencyMs }) => latencyMs.p99)
      const verdict = formatVerdict(ratio.median, kind === 'peer' ? {} : { atMost: P99_TARGET })
      return [title, ...p50, ...p99, ...formatSpread(ratio, 1), ...verdict]
    }),
  )
}
