// One measurement of one server, and two of them in turn.

import { copyFile, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Target } from './candidates/candidate.ts'
import type { Generator } from './load/client.ts'
import { requestOnce } from './load/http.ts'
import type { Job, Measured } from './load/protocol.ts'

const CONNECTIONS = 64

/** How long and how often to measure. */
export interface Repetition {
  readonly seconds: number
  readonly rounds: number
}

export interface Stretch extends Measured {
  /** Answers a second. */
  readonly rate: number
  /** Microseconds of the server's processor time for each answer. */
  readonly processorUs: number
  /** Share of a core that the server used. */
  readonly serverLoad: number
}

interface StretchOptions {
  readonly seconds: number
  /** Requests a second; as many as the server answers by default. */
  readonly rate?: number | undefined
  readonly connections?: number
}

export async function measureStretch(
  generator: Generator,
  target: Target,
  { seconds, rate, connections = CONNECTIONS }: StretchOptions,
): Promise<Stretch> {
  const { port, requests, sharesGeneratorCore = false, process } = target
  const before = await process.processorSeconds()
  const load = { kind: 'load' as const, port, connections, requests, seconds, awake: !sharesGeneratorCore }
  const measured = await runJob(generator, target, rate === undefined ? load : { ...load, rate })
  const used = (await process.processorSeconds()) - before
  return {
    ...measured,
    rate: measured.answers / measured.seconds,
    processorUs: (used / measured.answers) * 1e6,
    serverLoad: used / measured.seconds,
  }
}

/** Limits collecting tokens: on a slow store, the stretch then ends early. */
const COLLECTION_TIMEOUT_S = 10

/**
 * Collects tokens for a stretch where the target needs them. Otherwise sends one request, which caches the password
 * again.
 */
export async function prepare(
  generator: Generator,
  target: Target,
  answers: number,
  connections = CONNECTIONS,
): Promise<void> {
  const { port, tokens, requests } = target
  if (!tokens) {
    await requestOnce(port, requests.request)
    return
  }
  const count = Math.ceil(answers / (requests.uses ?? 1)) + connections
  await collectTokens(generator, { ...target, requests: tokens }, count, COLLECTION_TIMEOUT_S)
}

export async function collectTokens(
  generator: Generator,
  target: Target,
  count: number,
  seconds: number,
): Promise<Measured> {
  const { port, requests } = target
  return runJob(generator, target, { kind: 'collect', port, connections: CONNECTIONS, requests, count, seconds })
}

/**
 * Runs two measurements; which one comes first alternates with the round, so that drift of the machine hits both alike.
 */
export async function measureInTurn<Result>(
  round: number,
  first: () => Promise<Result>,
  second: () => Promise<Result>,
): Promise<[Result, Result]> {
  if (round % 2 === 0) return [await first(), await second()]
  const result = await second()
  return [await first(), result]
}

async function runJob(generator: Generator, target: Target, job: Job): Promise<Measured> {
  try {
    return await generator.run(job)
  } catch (error) {
    const folder = await keepEvidence(target, error as Error)
    throw new Error(`${(error as Error).message}\nkept: ${folder}`)
  }
}

/** Keeps the answer that ended the run, and the server's log. @returns the folder */
async function keepEvidence({ process }: Target, { message, cause }: Error): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-failure-'))
  await writeFile(join(folder, 'answer.txt'), typeof cause === 'string' ? cause : `${message}\n`)
  await copyFile(process.log, join(folder, 'server.log'))
  return folder
}
