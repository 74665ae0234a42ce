// Benchmarks of Trimint, each a comparison within one run on one machine; every answer is checked.
//
//   npm run bench                    throughput of every workload and peer, growth, workers
//   npm run bench -- --quick         throughput of the five headline workloads
//   --scenario NAME,NAME             throughput, growth, workers, verifications, start, chart
//   --only NAME,NAME                 candidates of throughput
//   --seconds N  --rounds N          length and number of measurements
//   --tokens N                       live tokens of growth; a million by default
//   --workers N  --connections N     workers; 2 and 64 by default
//   --chart                          updates bench/results.json and docs/performance.svg with this run's ratios

import { parseArgs } from 'node:util'
import { installPeers, PEERS } from './candidates/peers.ts'
import { HEADLINES, WORKLOADS } from './candidates/workloads.ts'
import { drawChart, updateResults } from './chart.ts'
import { readCount } from './command-line.ts'
import { createBenchEnvironment } from './environment.ts'
import { chooseCores, describeMachine, UNBOUND } from './machine.ts'
import { runGrowth } from './scenarios/growth.ts'
import { runStart } from './scenarios/start.ts'
import { runThroughput } from './scenarios/throughput.ts'
import { runVerifications } from './scenarios/verifications.ts'
import { runWorkers } from './scenarios/workers.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    scenario: { type: 'string' },
    only: { type: 'string' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    tokens: { type: 'string', default: '1000000' },
    workers: { type: 'string', default: '2' },
    connections: { type: 'string', default: '64' },
    chart: { type: 'boolean', default: false },
  },
})
const { quick } = values
const seconds = readCount(values.seconds ?? (quick ? '1' : '2'), 600)
const rounds = readCount(values.rounds ?? (quick ? '3' : '7'), 100)
const bound = await chooseCores()

const candidates = selectNames(
  quick && values.only === undefined ? HEADLINES : [...WORKLOADS, ...PEERS],
  values.only,
  ({ name }) => name,
)

const SCENARIOS: Readonly<Record<string, () => Promise<void>>> = {
  throughput: measureThroughput,
  growth: async () => {
    await using environment = await createBenchEnvironment(bound)
    await runGrowth(environment, { tokens: readCount(values.tokens, 10_000_000), seconds, rounds })
  },
  workers: async () => {
    const workers = readCount(values.workers, 64)
    const connections = readCount(values.connections, 1_024)
    await using environment = await createBenchEnvironment(UNBOUND)
    await runWorkers(environment, { workers, connections, seconds, rounds })
  },
  verifications: async () => {
    await using environment = await createBenchEnvironment(bound)
    await runVerifications(environment, { seconds, rounds })
  },
  start: async () => {
    await using environment = await createBenchEnvironment(UNBOUND)
    await runStart(environment, rounds)
  },
  chart: drawChart,
}
const byDefault = quick ? 'throughput' : 'throughput,growth,workers'

process.stdout.write(`${describeMachine(bound)}\n`)
for (const [, run] of selectNames(Object.entries(SCENARIOS), values.scenario ?? byDefault, ([name]) => name))
  await run()

async function measureThroughput(): Promise<void> {
  if (candidates.some(({ kind }) => kind === 'peer')) await installPeers()
  await using environment = await createBenchEnvironment(bound)
  const latencyRounds = Math.min(rounds, 5)
  const results = await runThroughput(environment, { candidates, seconds, rounds, latencyRounds })
  if (!values.chart) return
  await updateResults(results)
  await drawChart()
}

/** Returns the items that a comma-separated list names, in their own order; all without a list. */
function selectNames<Item>(items: readonly Item[], list: string | undefined, nameOf: (item: Item) => string): Item[] {
  if (list === undefined) return [...items]
  const names = list.split(',')
  const known = items.map(nameOf)
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new Error(`${unknown.join(', ')}: unknown; expected one of ${known.join(', ')}`)
  return items.filter((item) => names.includes(nameOf(item)))
}
