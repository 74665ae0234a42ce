// What several workers on one port cost: the processor time of all their processes for an answer, beside that of one
// process. Fewer connections for each worker make smaller batches, so few connections cost more. Processes are not
// bound to cores: workers on one core evict each other's caches. On a busy machine, compare the least that each used.

import type { Candidate } from '../candidates/candidate.ts'
import { HEADLINES } from '../candidates/workloads.ts'
import { formatRange, printTable, say } from '../command-line.ts'
import type { BenchEnvironment } from '../environment.ts'
import { measureInTurn, measureStretch, prepare, type Repetition, type Stretch } from '../measure.ts'
import { median, spread } from '../statistics.ts'

/** For each worker: long enough for V8 to optimise its code. */
const WARM_UP_S = 5

/** At first: each worker checks a password itself, and would reject many logins that wait for it. */
const FEW_CONNECTIONS = 8

/** Answers of a stretch, at most: where a request needs a token, so many are collected. */
const ANSWERS_A_SECOND = 40_000

const MEASURED: readonly Candidate['name'][] = [
  'bws',
  'check-idscan',
  'login',
  'create-sqlite',
  'create-redis',
  'create-postgres',
]

export interface WorkersOptions extends Repetition {
  readonly workers: number
  readonly connections: number
}

interface Pair {
  readonly one: Stretch
  readonly several: Stretch
}

export async function runWorkers(environment: BenchEnvironment, options: WorkersOptions): Promise<void> {
  const { workers, connections } = options
  const rows: string[][] = []
  for (const candidate of HEADLINES.filter(({ name }) => MEASURED.includes(name))) {
    say(`workers: ${candidate.title}`)
    rows.push(describe(candidate, await measurePairs(environment, candidate, options)))
  }
  const head = ['1 process, µs', `${workers} workers, µs`, 'ratio', 'least to most', 'ratio of the least']
  printTable([`workers, ${connections} connections`, ...head, '1 process, p99 ms', `${workers} workers, p99 ms`], rows)
}

async function measurePairs(
  environment: BenchEnvironment,
  candidate: (typeof HEADLINES)[number],
  { workers, connections, seconds, rounds }: WorkersOptions,
): Promise<Pair[]> {
  await using running = new AsyncDisposableStack()
  const { generator } = environment
  const start = async (count: number): Promise<() => Promise<Stretch>> => {
    const target = await candidate.start(environment, { WORKERS: String(count) })
    running.use(target.process)
    const measure = async (forSeconds: number, withConnections = connections): Promise<Stretch> => {
      await prepare(generator, target, ANSWERS_A_SECOND * forSeconds, withConnections)
      return measureStretch(generator, target, { seconds: forSeconds, connections: withConnections })
    }
    await measure(1, FEW_CONNECTIONS)
    await measure(WARM_UP_S * count)
    return () => measure(seconds)
  }
  const [measureOne, measureSeveral] = [await start(1), await start(workers)]
  const pairs: Pair[] = []
  for (let round = 0; round < rounds; round++) {
    const [one, several] = await measureInTurn(round, measureOne, measureSeveral)
    pairs.push({ one, several })
  }
  return pairs
}

function describe({ title }: Candidate, pairs: readonly Pair[]): string[] {
  const ratio = spread(pairs.map(({ one, several }) => several.processorUs / one.processorUs))
  const least = (side: keyof Pair): number => Math.min(...pairs.map((pair) => pair[side].processorUs))
  const both = (read: (stretch: Stretch) => number): string[] =>
    (['one', 'several'] as const).map((side) => median(pairs.map((pair) => read(pair[side]))).toFixed(1))
  return [
    title,
    ...both(({ processorUs }) => processorUs),
    ratio.median.toFixed(2),
    formatRange(ratio),
    (least('several') / least('one')).toFixed(2),
    ...both(({ latencyMs }) => latencyMs.p99),
  ]
}
