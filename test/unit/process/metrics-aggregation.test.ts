import { expect, test } from 'vitest'
import { createMetrics, type Metrics } from '../../../src/observability/metrics.ts'
import type { Snapshot } from '../../../src/process/cluster/messages.ts'
import { createMetricsAggregation } from '../../../src/process/cluster/metrics-aggregation.ts'

/** Returns a snapshot as another process sends it. */
const takeSnapshot = async ({ registry }: Metrics): Promise<Snapshot> =>
  JSON.parse(JSON.stringify(await registry.getMetricsAsJSON()))

function count(issued: number): Metrics {
  const metrics = createMetrics(() => 0)
  metrics.issued.inc({ contract: 'bws' }, issued)
  metrics.passwordChecks.inc(issued)
  metrics.requestDuration.observe({ route: '/token', status: 200 }, 0.002)
  return metrics
}

test('adds up the counts of several processes', async () => {
  const text = await createMetricsAggregation().render([await takeSnapshot(count(2)), await takeSnapshot(count(3))])
  expect(text).toMatch(/^trimint_tokens_issued_total\{contract="bws"\} 5$/m)
  expect(text).toMatch(/^trimint_password_checks 5$/m)
  expect(text).toMatch(/^trimint_http_request_duration_seconds_count\{route="\/token",status="200"\} 2$/m)
  expect(text).toMatch(/^trimint_build_info\{[^}]+\} 1$/m)
})

test('keeps the counters of a process that has ended, and drops its gauges', async () => {
  const aggregation = createMetricsAggregation()
  const live = [await takeSnapshot(count(2))]
  aggregation.retire(await takeSnapshot(count(3)))
  aggregation.retire(await takeSnapshot(count(4)))
  const text = await aggregation.render(live)
  expect(text).toMatch(/^trimint_tokens_issued_total\{contract="bws"\} 9$/m)
  expect(text).toMatch(/^trimint_http_request_duration_seconds_count\{route="\/token",status="200"\} 3$/m)
  expect(text).toMatch(/^trimint_password_checks 2$/m)
})
