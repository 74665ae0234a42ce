import { AggregatorRegistry } from 'prom-client'
import type { Snapshot } from './messages.ts'

/** Adds up the metrics of all workers, including those that have exited: a counter must not fall. */
export interface MetricsAggregation {
  /** Keeps the counters and histograms of a worker that has exited. */
  retire(snapshot: Snapshot): void
  /** Returns the sum in Prometheus' text format. */
  render(live: readonly Snapshot[]): Promise<string>
}

const KEPT_TYPES: readonly unknown[] = ['counter', 'histogram']

export function createMetricsAggregation(): MetricsAggregation {
  let retired: Promise<Snapshot> = Promise.resolve([])

  async function add(before: Promise<Snapshot>, snapshot: Snapshot): Promise<Snapshot> {
    const kept = snapshot.filter(({ type }) => KEPT_TYPES.includes(type))
    return AggregatorRegistry.aggregate([await before, kept]).getMetricsAsJSON()
  }

  return {
    retire(snapshot) {
      retired = add(retired, snapshot)
    },
    async render(live) {
      return AggregatorRegistry.aggregate([...live, await retired]).metrics()
    },
  }
}
