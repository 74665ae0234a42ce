import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type DemoWorkers, startDemoWorkers } from '../../../support/demo-workers.ts'
import { DATA_URL } from '../../../support/stand-ins.ts'

let workers: DemoWorkers
beforeAll(async () => {
  workers = await startDemoWorkers()
}, 120_000)
afterAll(() => workers?.[Symbol.asyncDispose]())
beforeEach(async () => {
  await send('/_trimint/reset', { method: 'POST' })
})

/** Sends a request on a connection of its own. */
async function send(
  path: string,
  { headers, ...init }: RequestInit & { readonly headers?: Record<string, string> } = {},
): Promise<{ status: number; text: string }> {
  const response = await fetch(workers.url + path, { ...init, headers: { ...headers, connection: 'close' } })
  return { status: response.status, text: await response.text() }
}

const basic = { authorization: `Basic ${btoa('demo-app:demo-secret')}` }
const TYPE = { 'content-type': 'application/json' }

async function attempt(task: string): Promise<{ result: string; token: string }> {
  const { text: token } = await send(`/token?id=demo-app&bcid=bws.112.7&task=${task}`, { headers: basic })
  const headers = { authorization: `Bearer ${token}` }
  for (let i = 0; i < 2; i += 1) await send('/upload', { method: 'POST', headers, body: DATA_URL })
  return { result: (await send(`/${task}`, { headers })).text, token }
}

const SUCCEEDED = '{"Success":true,"Error":null}'

test('S4, S7, S8: samples, results and enrolled classes are those of all workers', async () => {
  for (let i = 0; i < 3; i += 1) expect((await attempt('enroll')).result).toBe(SUCCEEDED)
  const { result, token } = await attempt('verify')
  expect(result).toBe(SUCCEEDED)
  for (let i = 0; i < 4; i += 1) {
    expect((await send(`/result?access_token=${token}`, { headers: basic })).text).toContain('verification')
  }
})

test('S15: each outcome of a list is taken once by all workers together', async () => {
  await attempt('enroll')
  const verify = ['LiveDetectionFailed', 'NotRecognized', 'ExecutionOfJobTimedOut']
  await send('/_trimint/outcomes', { method: 'PUT', headers: TYPE, body: JSON.stringify({ bws: { verify } }) })
  const results = await Promise.all(Array.from({ length: 6 }, async () => (await attempt('verify')).result))
  expect(results.filter((result) => result === SUCCEEDED)).toHaveLength(3)
  expect(new Set(results).size).toBe(4)
  for (let i = 0; i < 4; i += 1) {
    expect((await send('/_trimint/outcomes')).text).toBe('{"bws":{"verify":[]},"idscan":{},"matched":[]}')
  }
})

test('S11, S12: every worker has each journey, also one that replaces another', { timeout: 60_000 }, async () => {
  const logIn = async (area: string) => {
    const body = new URLSearchParams({ grant_type: 'password', username: 'demo', password: 'demo-password', area })
    return JSON.parse((await send('/idscanenterprisesvc/token', { method: 'POST', body })).text).access_token as string
  }
  const [scanning, investigation] = [await logIn('scanning'), await logIn('investigation')]
  const body = JSON.stringify({ Data: 'A'.repeat(1_000_000) })
  const headers = { ...TYPE, authorization: scanning }
  const uploaded = await send('/idscanenterprisesvc/journey/upload', { method: 'POST', headers, body })
  const { JourneyId } = JSON.parse(uploaded.text)
  const retrieve = () =>
    send(`/idscanenterprisesvc/Journey/Get?JourneyID=${JourneyId}`, { headers: { authorization: investigation } })
  for (let i = 0; i < 4; i += 1) expect(await retrieve()).toEqual(uploaded)

  await workers.replaceWorker()
  for (let i = 0; i < 4; i += 1) expect(await retrieve()).toEqual(uploaded)
})
