import type { SpanExporter } from '@opentelemetry/sdk-trace-node'
import { expect, test } from 'vitest'
import { reportOutages } from '../../../src/observability/exporter-outages.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { createFrozenClock } from '../../support/time.ts'

type Result = Parameters<Parameters<SpanExporter['export']>[1]>[0]

test('logs once that an exporter fails, and once that it works again', () => {
  const lines: Record<string, unknown>[] = []
  const logger = createLogger('info', createFrozenClock(), { write: (line) => void lines.push(JSON.parse(line)) })
  let result: Result = { code: 0 }
  const exporter = reportOutages({ export: (_spans, done) => done(result), shutdown: async () => undefined }, logger)
  const results: Result[] = []
  const exportTimes = (times: number, next: Result) => {
    result = next
    for (let count = 0; count < times; count++) exporter.export([], (given) => results.push(given))
  }
  const failure: Result = { code: 1, error: new Error('connect ECONNREFUSED') }

  exportTimes(2, { code: 0 })
  expect(lines).toEqual([])
  exportTimes(3, failure)
  expect(lines).toMatchObject([{ level: 'warn', event: 'tracing.failed', error: 'connect ECONNREFUSED' }])
  exportTimes(2, { code: 0 })
  expect(lines.slice(1)).toMatchObject([{ level: 'info', event: 'tracing.recovered' }])
  exportTimes(1, failure)
  expect(lines.slice(2)).toMatchObject([{ event: 'tracing.failed' }])
  expect(results).toHaveLength(8)
})
