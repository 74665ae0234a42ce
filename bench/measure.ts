// One measurement of one server, and pairs of them in turn.

import type { Target } from './candidates/candidate.ts'
import type { Generator, Measured, Requests } from './load/client.ts'
import { requestOnce } from './load/http.ts'
import { median, type Spread, spread } from './report.ts'

const CONNECTIONS = 64

/** Tokens a second to collect where the rate is unknown; a faster server has a shorter stretch. */
const MAX_TOKEN_RATE = 8_000

/** Limits collecting tokens: on a slow store, the stretch then ends early. */
const COLLECTION_TIMEOUT_S = 10

const WARM_UP_S = 5
/** At first: each worker checks a password itself, and would reject many logins that wait for it. */
const FEW_CONNECTIONS = 8

/** What the command line sets; main.ts describes each. */
export type Options = Readonly<Record<'seconds' | 'rounds' | 'starts' | 'tokens' | 'workers' | 'connections', number>>

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
  /** What fills `{token}`, in place of collected tokens. */
  readonly tokens?: readonly string[]
  readonly connections?: number
}

export async function measureStretch(
  generator: Generator,
  target: Target,
  { seconds, rate, tokens, connections = CONNECTIONS }: StretchOptions,
): Promise<Stretch> {
  const { server, requests, sharesGeneratorCore = false } = target
  await target.prepare?.()
  if (target.tokens) {
    const count = Math.ceil(((rate ?? MAX_TOKEN_RATE) * seconds) / (requests.uses ?? 1)) + connections
    await sendRequests(generator, target, target.tokens, count)
  } else if (!tokens) {
    // Caches the password again.
    await requestOnce(server.port, requests.request)
  }
  const before = server.usage().processorSeconds
  const load = { connections, requests, seconds, rate, awake: !sharesGeneratorCore, tokens }
  const measured = await generator.run(server, load)
  const used = server.usage().processorSeconds - before
  return {
    ...measured,
    rate: measured.answers / measured.seconds,
    processorUs: (used / measured.answers) * 1e6,
    serverLoad: used / measured.seconds,
  }
}

/** Sends so many requests, and keeps the tokens in their answers for the next load. */
export function sendRequests(
  generator: Generator,
  { server }: Target,
  requests: Requests,
  count: number,
  seconds = COLLECTION_TIMEOUT_S,
): Promise<Measured> {
  return generator.run(server, { count, connections: CONNECTIONS, requests, seconds, awake: false })
}

type Measure = () => Promise<Stretch>

export type Pair = readonly [base: Stretch, other: Stretch]

/**
 * Measures two servers; which one comes first alternates with the round, so that drift of the machine hits both alike.
 */
export async function measurePair(round: number, measureBase: Measure, measureOther: Measure): Promise<Pair> {
  if (round % 2 === 0) return [await measureBase(), await measureOther()]
  const other = await measureOther()
  return [await measureBase(), other]
}

/**
 * Starts two servers, and measures them in turn after a warm-up, which is long enough for V8 to optimise their code.
 *
 * @param options `workers` is the number of processes that have to warm up
 */
export async function compareServers(
  generator: Generator,
  starts: readonly [base: () => Promise<Target>, other: () => Promise<Target>],
  { seconds, rounds, connections, workers }: Options,
): Promise<Pair[]> {
  await using running = new AsyncDisposableStack()
  const start = async (startServer: () => Promise<Target>): Promise<Measure> => {
    const target = await startServer()
    running.use(target.server)
    await measureStretch(generator, target, { seconds: 1, connections: FEW_CONNECTIONS })
    await measureStretch(generator, target, { seconds: WARM_UP_S * workers, connections })
    return () => measureStretch(generator, target, { seconds, connections })
  }
  const [measureBase, measureOther] = [await start(starts[0]), await start(starts[1])]
  const pairs: Pair[] = []
  for (let round = 0; round < rounds; round++) pairs.push(await measurePair(round, measureBase, measureOther))
  return pairs
}

type Read = (stretch: Stretch) => number

/** Returns the ratio of the other server to the base. */
export function ratioOf(pairs: readonly Pair[], read: Read): Spread {
  return spread(pairs.map(([base, other]) => read(other) / read(base)))
}

/** Returns two cells: the medians of both servers. */
export function formatMedians(pairs: readonly Pair[], digits: number, read: Read): string[] {
  return ([0, 1] as const).map((side) => median(pairs.map((pair) => read(pair[side]))).toFixed(digits))
}
