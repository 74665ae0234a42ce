import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { DEMO_PASSWORD, DEMO_SECRET } from '../../src/config/demo-config.ts'
import { readLeakRecords } from '../support/leak-recorder.ts'
import { findSecrets } from '../support/search.ts'

// Runs after all the other tests, over everything that they made the service say and keep, at level trace. `npm run test:secret-leaks`
// makes every store a file and every process log everything.

// Milliseconds: there is much to look through, also on a machine with other things to do.
const TIMEOUT = 300_000

const { places, secrets: all } = readLeakRecords()

/** What everyone may know: it stands in the document, and a start without a configuration prints it. */
const DEMO = [DEMO_SECRET, DEMO_PASSWORD, btoa(`demo-app:${DEMO_SECRET}`), btoa(`demo-api:${DEMO_SECRET}`)]
const secrets = all.filter((secret) => !DEMO.includes(secret))

// Guards these tests themselves: a run of them alone has nothing to look at.
test.each([
  ['log', 500_000],
  ['errors', 100_000],
  ['metrics', 100_000],
  ['stores', 10_000],
] as const)('there is something to look through: %s', (place, least) => {
  expect(places[place].length, 'run it with the other tests').toBeGreaterThan(least)
})

test('and something to look for', () => {
  expect(secrets.length).toBeGreaterThan(100)
})

describe.each([
  ['the log', () => places.log],
  ['what processes write to standard error', () => places.stderr],
  ['refusals, headers and bodies', () => places.errors],
  ['the metrics', () => places.metrics],
  ['the stores', () => places.stores],
  ['the OpenAPI document', () => readFileSync('openapi/openapi.json')],
])('in %s', (_name, read) => {
  test('there is no secret and no token that was used', { timeout: TIMEOUT }, () => {
    expect(findSecrets(read(), secrets)).toEqual([])
  })

  test('nor the signature of one', { timeout: TIMEOUT }, () => {
    const signatures = secrets.flatMap((secret) => (secret.startsWith('eyJ') ? [secret.split('.')[2] ?? ''] : []))
    expect(signatures.length).toBeGreaterThan(100)
    // An altered one may be as short as a word.
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
])('in %s there is nothing that looks like credentials', (_name, read) => {
  const suspicious = /eyJ[\w-]+\.eyJ|\bbasic [A-Za-z0-9+/=]{6}|\bbearer |"authorization"/i
  const lines = read().toString('latin1').split('\n')
  expect(lines.filter((line) => suspicious.test(line))).toEqual([])
})
