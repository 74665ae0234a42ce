import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { DEMO_PASSWORD, DEMO_SECRET } from '../../src/config/demo-config.ts'
import { readLeakRecords } from '../support/leak-recorder.ts'
import { findSecrets } from '../support/search.ts'

// Runs after all other tests and searches everything that they made the service log and store. With `npm run
// test:secret-leaks`, every store is a file and every process logs at level trace.

const TIMEOUT = 300_000

const { places, secrets: all } = readLeakRecords()

/** Public secrets: the documents contain them, and a start without a configuration prints them. */
const DEMO = [DEMO_SECRET, DEMO_PASSWORD, btoa(`demo-app:${DEMO_SECRET}`), btoa(`demo-api:${DEMO_SECRET}`)]
const secrets = all.filter((secret) => !DEMO.includes(secret))

// A run of this file alone has nothing to search.
test.each([
  ['log', 500_000],
  ['errors', 100_000],
  ['metrics', 100_000],
  ['stores', 10_000],
] as const)('the run recorded enough to search: %s', (place, least) => {
  expect(places[place].length, 'run it with the other tests').toBeGreaterThan(least)
})

test('the run tracked enough secrets to search for', () => {
  expect(secrets.length).toBeGreaterThan(100)
})

describe.each([
  ['the log', () => places.log],
  ['what processes write to standard error', () => places.stderr],
  ['refusals, headers and bodies', () => places.errors],
  ['the metrics', () => places.metrics],
  ['the stores', () => places.stores],
  ['the OpenAPI document', () => readFileSync('openapi/openapi.json')],
])('a search of %s', (_name, read) => {
  test('finds no secret and no token', { timeout: TIMEOUT }, () => {
    expect(findSecrets(read(), secrets)).toEqual([])
  })

  test('finds no signature of a token', { timeout: TIMEOUT }, () => {
    const signatures = secrets.flatMap((secret) => (secret.startsWith('eyJ') ? [secret.split('.')[2] ?? ''] : []))
    expect(signatures.length).toBeGreaterThan(100)
    // An altered signature may be as short as a word.
    expect(
      findSecrets(
        read(),
        signatures.filter((signature) => signature.length > 20),
      ),
    ).toEqual([])
  })
})

test.each([
  ['the log', () => places.log],
  ['the stores', () => places.stores],
])('a search of %s finds nothing that looks like credentials', (_name, read) => {
  const suspicious = /eyJ[\w-]+\.eyJ|\bbasic [A-Za-z0-9+/=]{6}|\bbearer |"authorization"/i
  const lines = read().toString('latin1').split('\n')
  expect(lines.filter((line) => suspicious.test(line))).toEqual([])
})
