// What several workers on one port cost: the processor time of all their processes for an answer, beside that of one
// process. Fewer connections for each worker make smaller batches, so few connections cost more. Processes are not
// bound to cores: workers on one core evict each other's caches. On a busy machine, compare the least that each used.

import { WORKLOADS } from '../candidates/workloads.ts'
import type { BenchEnvironment } from '../environment.ts'
import { compareServers, formatMedians, type Options, ratioOf } from '../measure.ts'
import { formatSpread, printTable, say } from '../report.ts'

const MEASURED = ['bws', 'check-idscan', 'login', 'create-sqlite', 'create-redis', 'create-postgres']

export async function runWorkers(environment: BenchEnvironment, options: Options): Promise<void> {
  const { workers, connections } = options
  const rows: string[][] = []
  for (const { title, start } of WORKLOADS.filter(({ name }) => MEASURED.includes(name))) {
    say(`workers: ${title}`)
    const startWith = (count: number) => () => start(environment, { WORKERS: String(count) })
    const pairs = await compareServers(environment.generator, [startWith(1), startWith(workers)], options)
    const least = (side: 0 | 1): number => Math.min(...pairs.map((pair) => pair[side].processorUs))
    rows.push([
      title,
      ...formatMedians(pairs, 1, ({ processorUs }) => processorUs),
      ...formatSpread(ratioOf(pairs, ({ processorUs }) => processorUs)),
      (least(1) / least(0)).toFixed(2),
      ...formatMedians(pairs, 1, ({ latencyMs }) => latencyMs.p99),
    ])
  }
  const head = ['1 process, µs', `${workers} workers, µs`, 'ratio', 'least to most', 'ratio of the least']
  printTable([`workers, ${connections} connections`, ...head, '1 process, p99 ms', `${workers} workers, p99 ms`], rows)
}
