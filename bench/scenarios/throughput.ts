// Candidates beside bare node:http that sends the same bytes: rate, processor time, latency at half load.
// In each round each candidate and bare node:http are measured in turn; the ratio of the two is what counts.

import { type BareServer, startBare } from '../candidates/bare.ts'
import type { Candidate, Target } from '../candidates/candidate.ts'
import { formatRange, formatVerdict, printTable, say } from '../command-line.ts'
import type { BenchEnvironment } from '../environment.ts'
import { type Answer, fillIn, requestOnce } from '../load/http.ts'
import { measureInTurn, measureStretch, prepare, type Repetition, type Stretch } from '../measure.ts'
import { median, type Spread, spread } from '../statistics.ts'

/** Long enough for V8 to optimise the code of the server and of the generator. */
const WARM_UP_S = 4
/** At half load, requests arrive one by one and other code is hot. */
const HALF_LOAD_WARM_UP_S = 1.5

/** Tokens a second to collect before the rate is known; a faster candidate has a shorter warm-up. */
const FIRST_GUESS = 6_000
/** How many more tokens to collect than the median rate needs. */
const RESERVE = 1.4

/** The p99 latency at half load to stay below, in multiples of bare node:http's. */
const P99_TARGET = 3

interface Pair {
  readonly bare: Stretch
  readonly candidate: Stretch
}

interface Entry {
  readonly candidate: Candidate
  readonly target: Target
  /** What bare node:http imitates. */
  readonly answer: Answer
  readonly bareTarget: Target
  readonly fullLoad: Pair[]
  readonly halfLoad: Pair[]
}

export interface CandidateResult extends Pick<Candidate, 'name' | 'title' | 'kind'> {
  /** Median ratio to the rate of bare node:http. */
  readonly ratio: number
}

export interface ThroughputOptions extends Repetition {
  readonly candidates: readonly Candidate[]
  readonly latencyRounds: number
}

export async function runThroughput(
  environment: BenchEnvironment,
  { candidates, seconds, rounds, latencyRounds }: ThroughputOptions,
): Promise<CandidateResult[]> {
  const { generator } = environment
  await using bare = await startBare(environment)
  await using running = new AsyncDisposableStack()
  const entries: Entry[] = []
  for (const candidate of candidates) {
    say(`starting: ${candidate.title}`)
    const target = await candidate.start(environment)
    running.use(target.process)
    entries.push(await enter(candidate, target, bare))
  }

  const measurePair = (entry: Entry, round: number, share?: number): Promise<[Stretch, Stretch]> => {
    const { target, fullLoad } = entry
    const rateOf = (side: keyof Pair): number => median(fullLoad.map((pair) => pair[side].rate))
    const limited = (side: keyof Pair) => ({ seconds, rate: share === undefined ? undefined : share * rateOf(side) })
    const needed = (fullLoad.length === 0 ? FIRST_GUESS : RESERVE * rateOf('candidate')) * seconds * (share ?? 1)
    return measureInTurn(
      round,
      async () => {
        await bare.imitate(entry.answer)
        return measureStretch(generator, entry.bareTarget, limited('bare'))
      },
      async () => {
        await prepare(generator, target, needed)
        return measureStretch(generator, target, limited('candidate'))
      },
    )
  }

  say('warming up')
  for (const entry of entries) await warmUp(environment, bare, entry)
  for (let round = 0; round < rounds; round++) {
    say(`full load, round ${round + 1} of ${rounds}`)
    for (const entry of entries) entry.fullLoad.push(toPair(await measurePair(entry, round)))
  }
  for (let round = 0; round < latencyRounds; round++) {
    say(`half load, round ${round + 1} of ${latencyRounds}`)
    for (const entry of entries) entry.halfLoad.push(toPair(await measurePair(entry, round, 0.5)))
  }
  report(entries)
  return entries.map((entry) => {
    const { name, title, kind } = entry.candidate
    return { name, title, kind, ratio: rateRatio(entry).median }
  })
}

const toPair = ([bare, candidate]: [Stretch, Stretch]): Pair => ({ bare, candidate })

/** Starts a candidate's part with one request, whose answer bare node:http is to imitate. */
async function enter(candidate: Candidate, target: Target, bare: BareServer): Promise<Entry> {
  const { expect } = target.requests
  const request = await firstRequest(target)
  const answer = await requestOnce(target.port, request)
  if (answer.status !== expect.status || !new RegExp(expect.body).test(answer.body)) {
    throw new Error(`${candidate.title}: unexpected answer:\n${answer.head}\n\n${answer.body}`)
  }
  const bareTarget = { port: bare.port, process: bare.process, requests: { request, expect } }
  return { candidate, target, answer, bareTarget, fullLoad: [], halfLoad: [] }
}

async function firstRequest({ port, requests, tokens }: Target): Promise<string> {
  if (!tokens) return requests.request
  const { body } = await requestOnce(port, tokens.request)
  const token = new RegExp(tokens.expect.body).exec(body)?.[1]
  if (token === undefined) throw new Error(`no token in the first answer: ${body}`)
  return fillIn(requests.request, token)
}

async function warmUp({ generator }: BenchEnvironment, bare: BareServer, entry: Entry): Promise<void> {
  const { target, answer, bareTarget } = entry
  await prepare(generator, target, FIRST_GUESS * WARM_UP_S)
  const { rate } = await measureStretch(generator, target, { seconds: WARM_UP_S })
  await prepare(generator, target, FIRST_GUESS * HALF_LOAD_WARM_UP_S)
  await measureStretch(generator, target, { seconds: HALF_LOAD_WARM_UP_S, rate: rate / 2 })
  await bare.imitate(answer)
  const { rate: bareRate } = await measureStretch(generator, bareTarget, { seconds: 1 })
  await measureStretch(generator, bareTarget, { seconds: 0.5, rate: bareRate / 2 })
}

const ratioOf = (pairs: readonly Pair[], read: (stretch: Stretch) => number): Spread =>
  spread(pairs.map(({ bare, candidate }) => read(candidate) / read(bare)))

const rateRatio = ({ fullLoad }: Entry): Spread => ratioOf(fullLoad, ({ rate }) => rate)

function report(entries: readonly Entry[]): void {
  const both = (pairs: readonly Pair[], digits: number, read: (stretch: Stretch) => number): string[] =>
    (['bare', 'candidate'] as const).map((side) => median(pairs.map((pair) => read(pair[side]))).toFixed(digits))
  printTable(
    ['throughput', 'bare node:http/s', 'candidate/s', 'ratio', 'least to most', 'target', ''],
    entries.map((entry) => {
      const { title, target } = entry.candidate
      const ratio = rateRatio(entry)
      const judged = target === undefined ? ['', ''] : [`≥ ${target}`, formatVerdict(ratio.median >= target)]
      const rates = both(entry.fullLoad, 0, ({ rate }) => rate)
      return [title, ...rates, ratio.median.toFixed(2), formatRange(ratio), ...judged]
    }),
  )
  printTable(
    [
      'processor time an answer',
      'bare, µs',
      'candidate, µs',
      'ratio',
      'bare, core %',
      'candidate, core %',
      'generator',
    ],
    entries.map(({ candidate, fullLoad }) => [
      candidate.title,
      ...both(fullLoad, 1, ({ processorUs }) => processorUs),
      ratioOf(fullLoad, ({ processorUs }) => processorUs).median.toFixed(2),
      ...both(fullLoad, 0, ({ serverLoad }) => 100 * serverLoad),
      `${both(fullLoad, 0, ({ generatorLoad }) => 100 * generatorLoad).join(', ')} %`,
    ]),
  )
  printTable(
    ['half load, ms', 'bare p50', 'p50', 'bare p99', 'p99', 'ratio p99', 'least to most', 'target', ''],
    entries.map(({ candidate: { title, kind }, halfLoad }) => {
      const ratio = ratioOf(halfLoad, ({ latencyMs }) => latencyMs.p99)
      const judged = kind === 'peer' ? ['', ''] : [`≤ ${P99_TARGET}`, formatVerdict(ratio.median <= P99_TARGET)]
      const p50 = both(halfLoad, 2, ({ latencyMs }) => latencyMs.p50)
      const p99 = both(halfLoad, 2, ({ latencyMs }) => latencyMs.p99)
      return [title, ...p50, ...p99, ratio.median.toFixed(1), formatRange(ratio, 1), ...judged]
    }),
  )
}
