import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { JournalRecord } from '../../../src/development/journal/schema.ts'
import { pollPage, startBrowser } from '../../support/browser.ts'
import { type DemoWorkers, startDemoWorkers } from '../../support/demo-workers.ts'
import { hasProgram } from '../../support/programs.ts'

let workers: DemoWorkers
beforeAll(async () => {
  workers = await startDemoWorkers()
}, 120_000)
afterAll(() => workers?.[Symbol.asyncDispose]())
beforeEach(async () => {
  await send('/_trimint/reset', 'POST')
})

interface Sent {
  readonly status: number
  readonly now: string | null
  readonly json: Record<string, unknown>
}

/** Sends a request on a connection of its own. */
async function send(path: string, method = 'GET', body?: unknown, headers: Record<string, string> = {}): Promise<Sent> {
  const type = body === undefined ? {} : { 'content-type': 'application/json' }
  const init = { method, headers: { connection: 'close', ...type, ...headers } }
  const response = await fetch(`${workers.url}${path}`, {
    ...init,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {}
  return { status: response.status, now: response.headers.get('x-trimint-now'), json }
}

const authorization = `Basic ${btoa('demo-app:demo-secret')}`
const getToken = () => send('/token?id=demo-app&bcid=bws.112.1', 'GET', undefined, { authorization })
const several = (step: () => Promise<Sent>) => Promise.all(Array.from({ length: 8 }, step))
const journal = async (query: string) => (await send(`/_trimint/requests?${query}`)).json.requests as JournalRecord[]

test('L7: a clock that was set is in force in every worker', async () => {
  await send('/_trimint/clock', 'PATCH', { set: '2030-01-01T00:00:00Z', freeze: true })
  for (const { json, now } of await several(() => send('/_trimint/clock'))) {
    expect({ now: json.now, header: now }).toEqual({
      now: '2030-01-01T00:00:00.000Z',
      header: '2030-01-01T00:00:00.000Z',
    })
  }
  await getToken()
  await workers.sees(/"time":1893456000000,"worker":\d,"event":"token.issued"/)
})

test('L9: `times` counts the requests of all workers together', async () => {
  await send('/_trimint/faults', 'POST', { times: 5, then: { reason: 'blocked' } })
  const statuses = (await several(getToken)).map(({ status }) => status)
  expect(statuses.filter((status) => status === 429)).toHaveLength(5)
  const [fault] = (await send('/_trimint/faults')).json.faults as { met: number }[]
  expect(fault?.met).toBe(5)
})

test('L15: the journal has the requests of all workers, as soon as each was answered', async () => {
  await several(getToken)
  const requests = await journal('path=/token')
  expect(requests).toHaveLength(8)
  expect(requests.map(({ time }) => time)).toEqual(
    requests
      .map(({ time }) => time)
      .toSorted()
      .reverse(),
  )
  const found = await several(() => send(`/_trimint/requests/${requests[0]?.id}`))
  expect(found.map(({ status }) => status)).toEqual(Array(8).fill(200))
})

test('L18: a wait in one worker sees the requests of the others', async () => {
  const waiting = journal('count=8&wait=1m&path=/token')
  await several(getToken)
  expect(await waiting).toHaveLength(8)
})

test('L20: a patch is in force in every worker, and L22: a reset drops it in all', async () => {
  expect((await send('/_trimint/configuration', 'PATCH', { bws: false })).json).toEqual({
    changed: ['bws'],
    restart: [],
  })
  expect((await several(getToken)).map(({ status }) => status)).toEqual(Array(8).fill(404))
  expect((await send('/_trimint/configuration', 'PATCH', { bws: 1 })).status).toBe(400)
  await send('/_trimint/faults', 'POST', { then: { status: 299 } })
  await send('/_trimint/clock', 'PATCH', { advance: '1h' })
  expect((await send('/_trimint/reset', 'POST')).status).toBe(204)
  const after = await several(getToken)
  expect(after.map(({ status, now }) => ({ status, now }))).toEqual(Array(8).fill({ status: 200, now: null }))
})

test('L21: sessions and the guard are those of all workers', async () => {
  const body = { op: 'Auth', context: '{"username":"ann"}' }
  const headers = { 'content-type': 'application/fido+uaf;charset=UTF-8', accept: 'application/json' }
  await several(() => send('/nevisfido/token/create/authentication', 'POST', body, headers))
  expect((await send('/_trimint/sessions')).json.sessions).toHaveLength(8)
  await several(() => send('/token', 'GET', undefined, { authorization: `Basic ${btoa('demo-app:wrong')}` }))
  expect((await send('/_trimint/guard')).json.counts).toEqual([
    expect.objectContaining({ key: 'address 127.0.0.1', failures: 8 }),
  ])
  expect((await send(`/_trimint/guard/${encodeURIComponent('address 127.0.0.1')}`, 'DELETE')).status).toBe(204)
  expect((await send('/_trimint/guard')).json.counts).toEqual([])
})

test.skipIf(!hasProgram('chromium'))(
  'L25: the console shows and changes all workers',
  { timeout: 120_000 },
  async () => {
    await using browser = await startBrowser()
    // Each page has connections of its own, so that the two are served by both workers.
    const second = await browser.context.newPage()
    // The newest page is in front: Chromium renders the others once a second, and a click takes as long.
    const first = await browser.context.newPage()
    const pages = [first, second]
    for (const page of pages) await page.goto(`${workers.url}/_trimint/`)
    const button = (name: string) => first.getByRole('button', { name, exact: true })
    for (const page of pages) await pollPage(() => page.locator('#connection').innerText()).toBe('live')
    await several(getToken)
    for (const page of pages) await pollPage(() => page.locator('#journal > li').count()).toBe(8)

    await button('+10 h: advance the clock').click()
    for (const page of pages) await pollPage(() => page.locator('#offset').innerText()).toBe('10 h ahead')
    for (const { json } of await several(() => send('/_trimint/clock'))) expect(json.offset).toBeGreaterThan(35_990_000)

    const form = first.getByRole('form', { name: 'Add a fault' })
    await form.getByLabel('Contract').selectOption('bws')
    await form.getByLabel('Effect').selectOption('blocked')
    await button('Add fault').click()
    await pollPage(() => first.locator('#fault-list > li').innerText()).toContain('reason blocked')
    expect((await several(getToken)).map(({ status }) => status)).toEqual(Array(8).fill(429))
    await pollPage(() => second.locator('#fault-list > li').innerText()).toContain('met 8')

    await button('Start afresh').click()
    for (const page of pages) await pollPage(() => page.locator('#offset').innerText()).toBe('system time')
    // A page learns only from an empty journal that another one has emptied it.
    for (const page of pages) await pollPage(() => page.locator('#journal > li').count()).toBe(0)
    expect(await journal('')).toEqual([])
    const after = await several(getToken)
    expect(after.map(({ status, now }) => ({ status, now }))).toEqual(Array(8).fill({ status: 200, now: null }))
    for (const page of pages) await pollPage(() => page.locator('#journal > li').count()).toBe(8)
  },
)

test('L7: a worker that replaces another one takes over clock and faults', { timeout: 60_000 }, async () => {
  await send('/_trimint/clock', 'PATCH', { set: '2030-01-01T00:00:00Z', freeze: true })
  await send('/_trimint/faults', 'POST', { match: { path: '/nowhere' }, then: { status: 299 } })
  await workers.replaceWorker()
  for (const { status, now } of await several(() => send('/nowhere'))) {
    expect({ status, now }).toEqual({ status: 299, now: '2030-01-01T00:00:00.000Z' })
  }
})
