import { expect, test } from 'vitest'
import { readJournal } from '../support/journal.ts'

// Runs after all the other tests, over everything that they made the service log at level trace.

// Milliseconds: there is much to look through, also on a machine with other things to do.
const TIMEOUT = 120_000

test('no log line of the whole run holds a secret or a token that was used', { timeout: TIMEOUT }, () => {
  const { log, secrets } = readJournal()
  // Guards this test itself: a run of it alone has nothing to look at.
  expect(log.length, 'run it with the other tests').toBeGreaterThan(10_000)
  expect(secrets.size).toBeGreaterThan(100)
  const leaked = [...secrets].filter((secret) => log.includes(secret))
  expect(leaked).toEqual([])
})

test('nor the signature of one, nor what looks like credentials', { timeout: TIMEOUT }, () => {
  const { log, secrets } = readJournal()
  const signatures = [...secrets].flatMap((secret) => (secret.startsWith('eyJ') ? [secret.split('.')[2] ?? ''] : []))
  expect(signatures.length).toBeGreaterThan(100)
  expect(signatures.filter((signature) => log.includes(signature))).toEqual([])
  const suspicious = /eyJ[\w-]+\.eyJ|\bbasic [A-Za-z0-9+/=]{6}|\bbearer |"authorization"/i
  expect(log.split('\n').filter((line) => suspicious.test(line))).toEqual([])
})
