// What several workers on one port cost: the processor time for an answer, of all their processes together, beside that of one process.
// Both may use every core, and are measured in turn; the ratio of each round's own two counts. What else a machine does only ever adds to
// processor time: where it is busy, believe the ratio of the least that each has taken.
//
//   npm run bench:workers -- [--workers N] [--connections N] [--only NAME,NAME] [--seconds N] [--rounds N]
//
// Each worker has its share of the connections, and the more of them ask at a time, the less each costs: with few, several workers are
// dearer for that alone.

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startGenerator } from './load/client.ts'
import type { Cores } from './machine.ts'
import { measureStretch, type Stretch } from './measure.ts'
import { median, spread } from './spread.ts'
import type { StartedSubject, Subject } from './subjects/subject.ts'
import { createSurroundings } from './subjects/surroundings.ts'
import { HEADLINES } from './subjects/workloads.ts'
import { printTable, readCount } from './support.ts'

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '2' },
    connections: { type: 'string', default: '64' },
    only: { type: 'string', default: 'bws,create-sqlite,create-redis' },
    seconds: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '9' },
  },
})
const workers = readCount(values.workers, 64)
const connections = readCount(values.connections, 1_024)
const seconds = readCount(values.seconds, 60)
const rounds = readCount(values.rounds, 100)

/** Seconds for each worker until what is compiled as it runs is compiled. */
const WARM_UP = 5

/** Bound to none: on one core, workers would drive each other out of its caches, which nobody would have them do. */
const cores: Cores = { server: undefined, generator: undefined }
await using surroundings = await createSurroundings(cores)
await using generator = startGenerator(cores.generator)

interface Pair {
  readonly one: Stretch
  readonly several: Stretch
}

async function measurePairs(subject: Subject): Promise<Pair[]> {
  await using running = new AsyncDisposableStack()
  const start = async (count: number): Promise<() => Promise<Stretch>> => {
    const folder = join(surroundings.folder, String(count))
    const started: StartedSubject = await subject.start({ ...surroundings, folder, variables: { WORKERS: `${count}` } })
    running.use(started.process)
    const target = { ...started, connections }
    await measureStretch(generator, target, WARM_UP * count)
    return () => measureStretch(generator, target, seconds)
  }
  const [one, several] = [await start(1), await start(workers)]
  const pairs: Pair[] = []
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) pairs.push({ one: await one(), several: await several() })
    else {
      const first = await several()
      pairs.push({ one: await one(), several: first })
    }
  }
  return pairs
}

function describe({ title }: Subject, pairs: readonly Pair[]): string[] {
  const ratio = spread(pairs.map(({ one, several }) => several.processorTime / one.processorTime))
  const least = (side: keyof Pair): number => Math.min(...pairs.map((pair) => pair[side].processorTime))
  const both = (of: (stretch: Stretch) => number): string[] =>
    (['one', 'several'] as const).map((side) => median(pairs.map((pair) => of(pair[side]))).toFixed(1))
  return [
    title,
    ...both(({ processorTime }) => processorTime * 1e6),
    ratio.median.toFixed(2),
    `${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)}`,
    (least('several') / least('one')).toFixed(2),
    ...both(({ latency }) => latency.p99),
  ]
}

const names = values.only.split(',')
const rows: string[][] = []
for (const subject of HEADLINES) {
  if (names.includes(subject.name)) rows.push(describe(subject, await measurePairs(subject)))
}
const of = (count: number): string => (count === 1 ? '1 worker' : `${count} workers`)
printTable(
  [
    '',
    `${of(1)}, µs`,
    `${of(workers)}, µs`,
    'ratio',
    'least to most',
    'of the least',
    `${of(1)}, p99 ms`,
    `${of(workers)}, p99 ms`,
  ],
  rows,
)
