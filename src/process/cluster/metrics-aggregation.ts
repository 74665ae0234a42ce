import { AggregatorRegistry } from 'prom-client'
import type { Snapshot } from './messages.ts'

/** What all workers together have counted, those that are gone included: or a sum would fall when one of them ends. */
export interface Tally {
  /** Keeps what a worker has counted that is gone, by its last snapshot; what it held at that time went with it. */
  retire(snapshot: Snapshot): void
  /** In Prometheus's text format. */
  format(live: readonly Snapshot[]): Promise<string>
}

/** What only ever grows. */
const KEPT: readonly unknown[] = ['counter', 'histogram']

export function createTally(): Tally {
  let retired: Promise<Snapshot> = Promise.resolve([])

  async function add(before: Promise<Snapshot>, snapshot: Snapshot): Promise<Snapshot> {
    const kept = snapshot.filter(({ type }) => KEPT.includes(type))
    return AggregatorRegistry.aggregate([await before, kept]).getMetricsAsJSON()
  }

  return {
    retire(snapshot) {
      retired = add(retired, snapshot)
    },
    async format(live) {
      return AggregatorRegistry.aggregate([...live, await retired]).metrics()
    },
  }
}
