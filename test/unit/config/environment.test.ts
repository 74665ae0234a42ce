import { expect, test } from 'vitest'
import { readEnvironment } from '../../../src/config/environment.ts'

test('uses the default of a variable that is empty or not set', () => {
  expect(readEnvironment({ PORT: '', HOST: '' }).environment).toMatchObject({
    HOST: '127.0.0.1',
    PORT: 8080,
    LOG_LEVEL: 'info',
    DRAIN_DELAY: 5_000,
    DRAIN_TIMEOUT: 30_000,
  })
})

test('converts durations to milliseconds', () => {
  expect(readEnvironment({ DRAIN_DELAY: '250ms', DRAIN_TIMEOUT: '1m' }).environment).toMatchObject({
    DRAIN_DELAY: 250,
    DRAIN_TIMEOUT: 60_000,
  })
})

test('reports every issue at once', () => {
  const read = readEnvironment({
    PORT: '65536',
    METRICS_PORT: 'x',
    LOG_LEVEL: 'loud',
    DRAIN_DELAY: '5',
    DRAIN_TIMEOUT: '2h',
  })
  expect(read.issues.map(({ path }) => path)).toEqual([
    'PORT',
    'METRICS_PORT',
    'LOG_LEVEL',
    'DRAIN_DELAY',
    'DRAIN_TIMEOUT',
  ])
})

test.each(['prod', 'Production', 'PRODUCTION', 'staging'])(
  'rejects NODE_ENV=%s, which would run without the checks of production',
  (NODE_ENV) => {
    expect(readEnvironment({ NODE_ENV }).issues).toMatchObject([
      { path: 'NODE_ENV', message: expect.stringMatching(/development, test, production/) },
    ])
  },
)
