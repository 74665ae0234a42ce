import { expect, test } from 'vitest'
import type { AttemptRequest, Sample } from '../../../../src/development/stand-ins/bws/attempt.ts'
import { createBiometrics } from '../../../../src/development/stand-ins/bws/biometrics.ts'
import { createJourneys } from '../../../../src/development/stand-ins/idscan/journeys.ts'
import { createOutcomeList } from '../../../../src/development/stand-ins/outcomes/list.ts'

// How much the stand-ins keep (docs/contracts/stand-ins.md, Outcomes).

const sample: Sample = {
  format: 'png',
  width: 1,
  height: 1,
  bytes: 70,
  directions: [],
  index: undefined,
  trait: undefined,
  time: 0,
}

/** Uploads a sample and performs a task with it. */
function createClient() {
  const biometrics = createBiometrics(createOutcomeList())
  const upload = (tokenId: string, bcid: string) => biometrics.upload({ tokenId, app: 'app-1', bcid, sample })
  function perform(task: AttemptRequest['task'], bcid: string, more: Partial<AttemptRequest> = {}) {
    upload('token', bcid)
    const plain = { isLive: false, challenge: null, autoenroll: false, maxResults: 20 }
    return biometrics.perform({ tokenId: 'token', app: 'app-1', bcid, task, ...plain, time: 0, ...more })
  }
  return { biometrics, upload, perform }
}

test('keeps the samples of 1,000 tokens, and forgets the oldest first', () => {
  const { biometrics, upload } = createClient()
  for (let id = 0; id <= 1_000; id += 1) upload(`token-${id}`, 'bws/1/1')
  expect(['token-0', 'token-1', 'token-1000'].map((id) => biometrics.use(id)?.samples.length)).toEqual([
    undefined,
    1,
    1,
  ])
})

test('keeps 10,000 enrolled classes, and forgets the one first that was enrolled longest ago', () => {
  const { perform } = createClient()
  for (let id = 0; id < 10_000; id += 1) perform('enroll', `bws/1/${id}`)
  perform('enroll', 'bws/1/0')
  perform('enroll', 'bws/1/10000')
  const errors = [0, 1, 2, 10_000].map((id) => perform('verify', `bws/1/${id}`)?.error)
  expect(errors).toEqual([null, 'NoTemplateAvailable', null, null])
})

test('S4: identifies at most 100 matches, each with a lower score than the one before', () => {
  const { perform } = createClient()
  for (let id = 0; id <= 100; id += 1) perform('enroll', `bws/1/${id}`)
  const scores = perform('identify', 'bws/1/7', { maxResults: 999_999_999 })?.matches.map(({ score }) => score) ?? []
  expect(scores).toHaveLength(100)
  expect(scores).toEqual([...new Set(scores)].toSorted((a, b) => b - a))
  expect(scores.at(-1)).toBeGreaterThan(0)
})

test('keeps 1,000 journeys, and forgets the oldest first', () => {
  const journeys = createJourneys(createOutcomeList())
  for (let id = 0; id <= 1_000; id += 1) {
    journeys.upload({ id: `journey-${id}`, continues: null, tokenId: 'token', account: 'psc', text: '{}', time: id })
  }
  expect(journeys.all().map(({ id }) => id)).toEqual(
    Array.from({ length: 1_000 }, (_, index) => `journey-${index + 1}`),
  )
})
