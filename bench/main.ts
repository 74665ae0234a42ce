// Benchmarks of Trimint, each a comparison within one run on one machine; every answer is checked. `npm run bench`
// measures throughput of every workload and peer, growth and workers; `npm run bench -- --help` lists the options.

import { cpus } from 'node:os'
import { Command, InvalidArgumentError } from 'commander'
import { installPeers, PEERS } from './candidates/peers.ts'
import { HEADLINES, WORKLOADS } from './candidates/workloads.ts'
import { drawChart, updateResults } from './chart.ts'
import { type BenchEnvironment, type Cores, chooseCores, createBenchEnvironment } from './environment.ts'
import type { Options } from './measure.ts'
import { runGrowth } from './scenarios/growth.ts'
import { runStart } from './scenarios/start.ts'
import { runThroughput } from './scenarios/throughput.ts'
import { runVerifications } from './scenarios/verifications.ts'
import { runWorkers } from './scenarios/workers.ts'

interface CommandLine extends Options {
  readonly scenario?: string
  readonly only?: string
  readonly chart?: true
}

/** Read before the others, whose defaults it changes. */
const isQuick = process.argv.includes('--quick')
const options = new Command('npm run bench --')
  .option('--quick', 'measure the throughput of the five headline workloads, for less time')
  .option('--scenario <names>', 'throughput, growth, workers, verifications, start, chart')
  .option('--only <names>', 'candidates of throughput')
  .option('--seconds <count>', 'length of a measurement at full load', parseCount, isQuick ? 1 : 2)
  .option('--rounds <count>', 'number of measurements at full load', parseCount, isQuick ? 3 : 7)
  .option('--starts <count>', 'starts of each server of throughput, each for so many rounds', parseCount, 1)
  .option('--tokens <count>', 'live tokens of growth', parseCount, 1_000_000)
  .option('--workers <count>', 'processes of workers', parseCount, 2)
  .option('--connections <count>', 'connections of growth and workers', parseCount, 64)
  .option('--chart', "update bench/results.json and docs/performance.svg with this run's ratios")
  .parse()
  .opts<CommandLine>()

const cores = chooseCores()
const cpu = cpus()[0]?.model.trim()
const binding = cores ? `server on core ${cores.server}, load generator on ${cores.generator}` : 'cores not assigned'
process.stdout.write(`${cpus().length} cores (${cpu}), Node ${process.version}, ${binding}\n`)

interface Scenario {
  readonly cores: Cores | undefined
  run(environment: BenchEnvironment, options: Options): Promise<unknown>
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  throughput: { cores, run: measureThroughput },
  growth: { cores, run: runGrowth },
  workers: { cores: undefined, run: runWorkers },
  verifications: { cores, run: runVerifications },
  start: { cores: undefined, run: runStart },
  chart: { cores: undefined, run: drawChart },
}
const names = options.scenario ?? (isQuick ? 'throughput' : 'throughput,growth,workers')
for (const [, scenario] of select(Object.entries(SCENARIOS), names, ([name]) => name)) {
  await using environment = await createBenchEnvironment(scenario.cores)
  await scenario.run(environment, options)
}

async function measureThroughput(environment: BenchEnvironment): Promise<void> {
  const byDefault = isQuick && options.only === undefined ? HEADLINES : [...WORKLOADS, ...PEERS]
  const candidates = select(byDefault, options.only, ({ name }) => name)
  if (candidates.some(({ kind }) => kind === 'peer')) installPeers()
  const results = await runThroughput(environment, candidates, options)
  if (!options.chart) return
  await updateResults(results)
  await drawChart()
}

/** Returns the items that a comma-separated list names, in their own order; all without a list. */
function select<Item>(items: readonly Item[], list: string | undefined, nameOf: (item: Item) => string): Item[] {
  if (list === undefined) return [...items]
  const wanted = list.split(',')
  const known = items.map(nameOf)
  const unknown = wanted.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new Error(`${unknown.join(', ')}: unknown; expected one of ${known.join(', ')}`)
  return items.filter((item) => wanted.includes(nameOf(item)))
}

function parseCount(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count > 0) return count
  throw new InvalidArgumentError('expected a whole number of at least 1')
}
