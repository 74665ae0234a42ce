import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { createMetrics } from '../../../src/observability/metrics.ts'

const FOLDER = 'examples/prometheus'

test.each(['alerts.yml', 'dashboard.json'])('%s refers only to existing metrics', async (file) => {
  const text = readFileSync(`${FOLDER}/${file}`, 'utf8')
  // JSON is YAML as well.
  expect(parse(text)).toBeTypeOf('object')
  const known = createMetrics(() => 0, { process: true })
    .registry.getMetricsAsArray()
    .map(({ name }) => name)
  const named = new Set(text.match(/\b(?:trimint|nodejs|process)_[a-z0-9_]+/g))
  expect(named.size).toBeGreaterThan(4)
  expect([...named].filter((name) => !known.includes(name.replace(/_bucket$/, '')))).toEqual([])
})

test('prometheus.yml scrapes the default port and loads alerts.yml', () => {
  const { scrape_configs, rule_files } = parse(readFileSync(`${FOLDER}/prometheus.yml`, 'utf8')) as {
    scrape_configs: { static_configs: { targets: string[] }[] }[]
    rule_files: string[]
  }
  expect(scrape_configs[0]?.static_configs[0]?.targets).toEqual(['127.0.0.1:8080'])
  expect(rule_files).toEqual(['alerts.yml'])
})

test('counts live sessions in bounded memory without a scrape', async () => {
  let now = 0
  const { sessions, registry } = createMetrics(() => now)
  const add = registry.getSingleMetric('trimint_sessions_live')
  expect(add).toBeDefined()
  const sizes = new Set<number>()
  const original = Map.prototype.set
  Map.prototype.set = function set(key, value) {
    sizes.add(this.size)
    return original.call(this, key, value)
  }
  try {
    for (let second = 0; second < 2_000; second++) {
      now = second * 1000
      sessions.add(now + 300_000)
    }
  } finally {
    Map.prototype.set = original
  }
  expect(Math.max(...sizes)).toBeLessThan(302)
})
