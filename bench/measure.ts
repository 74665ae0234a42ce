// Subjects in turn, each beside bare node:http that sends the same bytes. Not a program of its own.

import type { Generator } from './load/client.ts'
import { askOnce } from './load/connection.ts'
import { type Answer, fillIn } from './load/http.ts'
import type { Measured, Requests } from './load/protocol.ts'
import type { BareServer } from './subjects/bare.ts'
import type { BenchmarkProcess } from './subjects/process.ts'
import type { StartedSubject, Subject } from './subjects/subject.ts'
import { percentile } from './support.ts'

const CONNECTIONS = 64

/** Seconds: until what is compiled as it runs is compiled. */
const WARM_UP = 5

/** … and at half load, where requests come one by one: other code is hot then, in the load generator too. */
const HALF_LOAD_WARM_UP = 1.5

/** One stretch of load on one server. */
export interface Stretch extends Measured {
  /** Answers a second. */
  readonly rate: number
  /** Seconds of the server's processor time for each answer. */
  readonly processorTime: number
  /** Share of a core that the server took. */
  readonly serverLoad: number
}

export interface Pair {
  readonly bare: Stretch
  readonly subject: Stretch
}

/** A subject that is up, and all that was seen of it. */
export interface Contestant {
  readonly subject: Subject
  readonly started: StartedSubject
  /** What it answers: what bare node:http sends. */
  readonly answer: Answer
  /** A request of the same size that can be sent over and over. */
  readonly bareRequests: Requests
  readonly idleMemory: number
  readonly rounds: Pair[]
  /** At half of each one's own rate. */
  readonly halfLoad: Pair[]
}

export interface Apparatus {
  readonly generator: Generator
  readonly bare: BareServer
}

interface Target {
  readonly port: number
  readonly process: BenchmarkProcess
  readonly requests: Requests
  readonly sharesGenerator?: boolean
  /** 64 unless told otherwise. */
  readonly connections?: number
}

export async function measureStretch(
  generator: Generator,
  target: Target,
  seconds: number,
  rate?: number,
): Promise<Stretch> {
  const before = await target.process.processorTime()
  const { port, requests, sharesGenerator = false, connections = CONNECTIONS } = target
  const load = { kind: 'load' as const, port, connections, requests, seconds, awake: !sharesGenerator }
  const measured = await generator.run(rate === undefined ? load : { ...load, rate })
  const took = (await target.process.processorTime()) - before
  return {
    ...measured,
    rate: measured.answers / measured.seconds,
    processorTime: took / measured.answers,
    serverLoad: took / measured.seconds,
  }
}

/** Collects tokens for a stretch, where the subject needs any. Otherwise one request: a password is remembered for a time only. */
async function prepare(
  generator: Generator,
  { port, tokens, requests }: StartedSubject,
  answers: number,
): Promise<void> {
  if (!tokens) {
    await askOnce(port, requests.request)
    return
  }
  const count = Math.ceil(answers / (requests.uses ?? 1)) + CONNECTIONS
  await generator.run({ kind: 'collect', port, connections: CONNECTIONS, requests: tokens, count })
}

export async function enter(subject: Subject, started: StartedSubject): Promise<Contestant> {
  const idleMemory = await started.process.memory()
  const request = await firstRequest(started)
  const answer = await askOnce(started.port, request)
  const { status, body } = started.requests.expect
  if (answer.status !== status || !new RegExp(body).test(answer.body)) {
    throw new Error(`${subject.title}: a wrong answer:\n${answer.head}\n\n${answer.body}`)
  }
  const bareRequests = { request, expect: started.requests.expect }
  return { subject, started, answer, bareRequests, idleMemory, rounds: [], halfLoad: [] }
}

async function firstRequest({ port, requests, tokens }: StartedSubject): Promise<string> {
  if (!tokens) return requests.request
  const { body } = await askOnce(port, tokens.request)
  const token = new RegExp(tokens.expect.body).exec(body)?.[1]
  if (token === undefined) throw new Error(`no token to begin with: ${body}`)
  return fillIn(requests.request, token)
}

const medianRate = (pairs: readonly Pair[], of: keyof Pair): number =>
  percentile(
    pairs.map((pair) => pair[of].rate),
    0.5,
  )

/** How many tokens a second are made ready where nothing is known yet: whoever takes more has a shorter stretch. */
const FIRST_GUESS = 6_000
/** Faster than its median by that, a subject runs out of tokens, and its stretch ends before its time. */
const RESERVE = 1.4

export async function warmUp({ generator, bare }: Apparatus, contestant: Contestant): Promise<void> {
  const { started, answer, bareRequests } = contestant
  await prepare(generator, started, FIRST_GUESS * WARM_UP)
  const { rate } = await measureStretch(generator, started, WARM_UP)
  await prepare(generator, started, FIRST_GUESS * HALF_LOAD_WARM_UP)
  await measureStretch(generator, started, HALF_LOAD_WARM_UP, rate / 2)
  await bare.imitate(answer)
  const target = { ...bare, requests: bareRequests }
  const { rate: bareRate } = await measureStretch(generator, target, 1)
  await measureStretch(generator, target, 0.5, bareRate / 2)
}

async function measurePair(
  { generator, bare }: Apparatus,
  { started, answer, bareRequests, rounds }: Contestant,
  seconds: number,
  bareFirst: boolean,
  share?: number,
): Promise<Pair> {
  const rateOf = (of: keyof Pair): number | undefined =>
    share === undefined ? undefined : share * medianRate(rounds, of)
  const known = rounds.length === 0 ? FIRST_GUESS : RESERVE * medianRate(rounds, 'subject')
  const measureBare = async (): Promise<Stretch> => {
    await bare.imitate(answer)
    return measureStretch(generator, { ...bare, requests: bareRequests }, seconds, rateOf('bare'))
  }
  const measureSubject = async (): Promise<Stretch> => {
    await prepare(generator, started, known * seconds * (share ?? 1))
    return measureStretch(generator, started, seconds, rateOf('subject'))
  }
  if (bareFirst) {
    const first = await measureBare()
    return { bare: first, subject: await measureSubject() }
  }
  const first = await measureSubject()
  return { bare: await measureBare(), subject: first }
}

/** @param round which of the two comes first changes with it. */
export async function measureRound(
  apparatus: Apparatus,
  contestant: Contestant,
  { seconds, round }: { readonly seconds: number; readonly round: number },
): Promise<void> {
  contestant.rounds.push(await measurePair(apparatus, contestant, seconds, round % 2 === 0))
}

/** At half of each one's own rate; only after rounds. */
export async function measureHalfLoad(
  apparatus: Apparatus,
  contestant: Contestant,
  { seconds, round }: { readonly seconds: number; readonly round: number },
): Promise<void> {
  contestant.halfLoad.push(await measurePair(apparatus, contestant, seconds, round % 2 === 0, 0.5))
}
