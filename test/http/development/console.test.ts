import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { JournalRecord } from '../../../src/development/journal/schema.ts'
import { pollPage, type StartedBrowser, startBrowser } from '../../support/browser.ts'
import { getToken, QUERY } from '../../support/bws.ts'
import { control, startDevelopment } from '../../support/development.ts'
import { login } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { issueBws, issueIdscan } from '../../support/lifecycle.ts'
import { createToken, redeem } from '../../support/nevisfido.ts'
import { hasProgram } from '../../support/programs.ts'
import { APP, APP_SECRET, type Service, startService } from '../../support/service.ts'
import { perform, startStandIns, upload } from '../../support/stand-ins.ts'
import { createFrozenClock } from '../../support/time.ts'

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8')
/** Describes only violations, which saves processor time. The one enabled rule that needs a preload is about media: none here. */
const AXE_RUN = "axe.run({ resultTypes: ['violations'], preload: false })"
const run = promisify(execFile)
const BROWSER_TIMEOUT = 120_000
/** A finding of axe. */
interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly html: string }[]
}

const WRONG = { as: { id: APP.id, secret: 'wrong-secret' } }

describe('L25: GET / leads a browser', () => {
  const browser = { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } }

  test('to the console where control is on', async () => {
    await using service = await startDevelopment()
    expect(await service.request('/', browser)).toMatchObject({ status: 302, headers: { location: '_trimint/' } })
    expect(await service.request('/_trimint')).toMatchObject({ status: 302, headers: { location: '_trimint/' } })
  })

  test('to /docs where control is off, and nowhere without /docs', async () => {
    await using service = await startService()
    expect(await service.request('/', browser)).toMatchObject({ status: 302, headers: { location: 'docs' } })
    expect((await service.request('/_trimint/', browser)).status).toBe(404)
    await using bare = await startService({ configuration: { docs: false } })
    expect((await bare.request('/', browser)).status).toBe(404)
  })

  test('and answers 404 to other clients', async () => {
    await using service = await startDevelopment()
    expect((await service.request('/')).status).toBe(404)
    expect((await service.request('/', { method: 'POST', ...browser })).status).toBe(404)
  })
})

describe('L26: the files of the page', () => {
  test.each([
    ['/', 'text/html; charset=utf-8'],
    ['/console/main.js', 'text/javascript; charset=utf-8'],
    ['/console/style.css', 'text/css; charset=utf-8'],
    ['/console/icon.svg', 'image/svg+xml'],
  ])('%s has a strict policy', async (path, type) => {
    await using service = await startDevelopment()
    const { status, headers } = await control(service, 'GET', path)
    expect({ status, type: headers['content-type'], cache: headers['cache-control'] }).toEqual({
      status: 200,
      type,
      cache: 'no-store',
    })
    expect(headers['content-security-policy']).toMatch(/^default-src 'self'; /)
    expect(headers['content-security-policy']).not.toMatch(/unsafe|http|data:|\*/)
  })

  test('are the ones listed, and need a Host that is known', async () => {
    await using service = await startDevelopment()
    for (const path of ['/console/tsconfig.json', '/console/', '/console/..%2Fpart.ts', '/console/index.html']) {
      expect((await control(service, 'GET', path)).status, path).toBe(404)
    }
    const headers = { host: 'attacker.example' }
    expect((await control(service, 'GET', '/', undefined, { headers })).status).toBe(403)
    expect((await control(service, 'POST', '/')).headers.allow).toBe('GET, HEAD')
  })
})

describe('L25: POST /_trimint/decode', () => {
  let service: Service
  beforeAll(async () => {
    service = await startDevelopment({ clock: createFrozenClock() })
  })
  afterAll(() => service.close())
  beforeEach(async () => {
    await control(service, 'POST', '/reset')
  })

  async function decode(token: string): Promise<Record<string, unknown>> {
    const { status, json } = await control(service, 'POST', '/decode', { token })
    expect(status).toBe(200)
    expect(JSON.stringify(json)).not.toContain(token)
    return json
  }

  test('spells out the bits of a BWS token, and follows the clock', async () => {
    const token = await issueBws(service)
    expect(await decode(token)).toMatchObject({
      contract: 'bws',
      accepted: true,
      triesLeft: 3,
      claims: { app: APP.id },
      meaning: { task: 'verify', maxtries: 3, livedetection: true, challenge: false, traits: ['Face', 'Periocular'] },
    })
    await control(service, 'PATCH', '/clock', { advance: '11m' })
    expect(await decode(token)).toMatchObject({ accepted: false, reason: 'token_expired' })
    await control(service, 'PATCH', '/clock', { advance: '-1h' })
    expect(await decode(token)).toMatchObject({ accepted: false, reason: 'token_not_yet_valid' })
  })

  test('explains why a token of another key is rejected', async () => {
    const token = await issueIdscan(service)
    expect(await decode(token)).toMatchObject({ contract: 'idscan', accepted: true })
    const [header, payload] = token.split('.')
    expect(await decode(`${header}.${payload}.c2lnbmF0dXJl`)).toMatchObject({
      accepted: false,
      reason: 'invalid_token',
      explanation: expect.stringMatching(/no live key of the configuration has signed the token/i),
    })
  })

  test('shows the session of a nevisFIDO token', async () => {
    const { token } = await createToken(service, 'registration')
    expect(await decode(token)).toMatchObject({
      contract: 'nevisfido',
      accepted: true,
      session: { operation: 'registration', status: 'tokenCreated' },
    })
    await redeem(service, 'registration', token)
    expect(await decode(token)).toMatchObject({ accepted: false, reason: 'token_spent' })
    expect(await decode('never-issued')).toMatchObject({ accepted: false, reason: 'unknown_token' })
  })

  test.each([{}, { token: '' }, { token: 5 }, { token: 'a', more: 1 }])('L2: refuses %j', async (body) => {
    expect((await control(service, 'POST', '/decode', body)).status).toBe(400)
  })

  test.each([
    'a.b.c',
    'e30.e30.x',
    'e30.eyJ0b2tlbmlkIjp7fSwidGFzayI6MS41LCJleHAiOjFlMzAwfQ.x',
    // {"jti":{"toString":null,"valueOf":null}}
    'e30.eyJqdGkiOnsidG9TdHJpbmciOm51bGwsInZhbHVlT2YiOm51bGx9fQ.x',
    `e30.${Buffer.from(`{"a":${'['.repeat(12_000)}${']'.repeat(12_000)}}`).toString('base64url')}.x`,
    '…',
    '.',
    '  x ',
  ])('decodes %.60s without a failure', async (token) => {
    const { status, json } = await control(service, 'POST', '/decode', { token })
    expect({ status, accepted: json.accepted }).toEqual({ status: 200, accepted: false })
  })

  test('L21, L22: every call that needs the store answers 503 while it fails', async () => {
    const token = await issueBws(service)
    const fail = () => Promise.reject(new Error('away'))
    const { uses, tokens, failures, credentials } = service.stores
    await using away = await startDevelopment({
      clock: createFrozenClock(),
      stores: {
        uses: { ...uses, counted: fail },
        tokens: { ...tokens, findBySession: fail, sweep: fail, clear: fail },
        failures: { ...failures, list: fail, remove: fail },
        credentials: { ...credentials, list: fail },
      },
    })
    await createToken(away, 'registration')
    const calls: [Parameters<typeof control>[1], string, object?][] = [
      ['POST', '/decode', { token }],
      ['GET', '/sessions'],
      ['GET', '/guard'],
      ['DELETE', '/guard/address%20192.0.2.1'],
      ['POST', '/reset', { only: ['sessions'] }],
      ['POST', '/reset', { only: ['guard'] }],
      ['POST', '/reset', { only: ['credentials'] }],
    ]
    const { paths } = (await control(away, 'GET', '/openapi.json')).json as { paths: Record<string, object> }
    for (const [method, path, body] of calls) {
      const { status, json } = await control(away, method, path, body)
      expect([path, status, json.error]).toEqual([path, 503, 'temporarily_unavailable'])
      const described = paths[path.replace(/(?<=guard\/).*/, '{key}')]
      expect(described, path).toHaveProperty([method.toLowerCase(), 'responses', '503'])
    }
  })
})

describe.skipIf(!hasProgram('chromium'))('the console in a browser', { timeout: BROWSER_TIMEOUT }, () => {
  let browser: StartedBrowser
  let service: Service
  let page: Page
  let complaints: string[]
  /** Origins that the page sent requests to. */
  const origins = new Set<string>()

  beforeAll(async () => {
    browser = await startBrowser()
    service = await startStandIns()
    await browser.context.grantPermissions(['clipboard-read', 'clipboard-write'])
    page = await open(service)
  }, BROWSER_TIMEOUT)
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await service?.close()
  })
  beforeEach(async () => {
    // Unlike the page's own look every two seconds, the button takes effect at once.
    await Promise.all([page.waitForResponse('**/_trimint/reset'), button('Start afresh').click()])
    await pollPage(() => text('#offset')).toBe('system time')
    await pollPage(() => rows(page).count()).toBe(0)
    complaints = []
  })
  afterEach(() => {
    expect(complaints).toEqual([])
  })

  async function open(at: Service): Promise<Page> {
    const opened = await browser.context.newPage()
    opened.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    opened.on('pageerror', (error) => complaints.push(error.message))
    opened.on('request', (request) => origins.add(new URL(request.url()).origin))
    await opened.goto(`${at.url}/_trimint/`)
    return opened
  }

  const rows = (on: Page) => on.locator('#journal > li:not([hidden])')
  const text = (selector: string) => page.locator(selector).innerText()
  const button = (name: string) => page.getByRole('button', { name, exact: true })

  test('L25: shows a refused request at once, with its explanation and curl line', async () => {
    const reply = await getToken(service, QUERY, WRONG)
    const row = rows(page).first()
    await pollPage(() => row.innerText()).toMatch(
      /\/token[\s\S]*bad_secret[\s\S]*401[\s\S]*matches none of the 1 secrets/,
    )
    await row.getByRole('button', { name: 'Copy as curl' }).click()
    await pollPage(() => row.innerText()).toContain('Copied')
    const copied = await page.evaluate<string>('navigator.clipboard.readText()')
    expect(copied).toContain(`-u '${APP.id}:SECRET'`)
    await row.locator('summary').click()
    expect(await row.locator('.curl').innerText()).toBe(copied)
    expect(await row.innerText()).toContain(String(reply.headers['x-request-id']))
    const again = await run('sh', ['-c', copied.replace('SECRET', APP_SECRET)])
    expect(again.stdout).toMatch(/^HTTP\/1.1 200 /)
  })

  test('L25: loads the rest of a large request when it is opened', async () => {
    await service.request('/nowhere?a=b', { headers: { 'x-large': 'x'.repeat(17_000) } })
    await pollPage(() => rows(page).count()).toBe(1)
    await rows(page).first().locator('summary').click()
    await pollPage(() => rows(page).first().innerText()).toContain('x-large')
    expect(await rows(page).first().locator('.curl').innerText()).toContain('/nowhere?a=b')
  })

  describe('L25: the curl line sends the same request again', () => {
    const form = 'content-type: application/x-www-form-urlencoded'
    const json = 'content-type: application/fido+uaf;charset=UTF-8\r\naccept: application/json'

    test.each([
      ['with a pattern of curl in its path', 'GET /nevisfido/{operation}/[1-3]?a={b,c}&d=[1-2]', '', ''],
      ['with dot segments in its path', 'GET /nowhere/../token/./x', '', ''],
      ['for a whole URL', 'GET http://localhost/nowhere?a=1', '', ''],
      ['for a server', 'OPTIONS *', '', ''],
      ['with a number sign in its path', 'GET /nowhere#x', '', ''],
      ['with quotes', "POST /idscanenterprisesvc/token?it's", form, "username=it's&area=%22%5C'%5C"],
      ['with the name of a file as JSON', 'POST /nevisfido/token/create/registration', json, '"@/etc/hostname"'],
      [
        'with control characters',
        'POST /idscanenterprisesvc/token',
        form,
        'username=a%15touch+b%0A%0D%1B%C2%9B1%27%5Cn%7F',
      ],
      ['with DEL in JSON', 'POST /nevisfido/token/create/registration', json, '{"op":"\x7f\'\\\\"}'],
    ])('%s', async (_name, start, headers, body) => {
      const head = `${start} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${headers ? `${headers}\r\n` : ''}`
      await exchange(service, `${head}${body ? `content-length: ${Buffer.byteLength(body)}\r\n` : ''}\r\n${body}`)
      await pollPage(() => rows(page).count()).toBe(1)
      await rows(page).first().locator('summary').click()
      const line = await rows(page).first().locator('.curl').innerText()
      // A terminal acts on a control character that is pasted.
      expect(line).not.toMatch(/\p{Cc}/u)
      await run('bash', ['-c', line])
      const { requests } = (await control(service, 'GET', '/requests')).json as { requests: JournalRecord[] }
      const [again, first] = requests.map(({ method, path, query, body: sent }) => ({ method, path, query, sent }))
      expect(requests).toHaveLength(2)
      expect(again).toEqual(first)
    })
  })

  test('L25: filters requests by contract, outcome and text, and empties the journal', async () => {
    await getToken(service, QUERY)
    await getToken(service, QUERY, WRONG)
    await login(service)
    await pollPage(() => rows(page).count()).toBe(3)
    const filters = page.getByRole('form', { name: 'Filters' })
    await filters.getByLabel('Contract').selectOption('bws')
    expect(await text('#count')).toBe('2 of 3 requests')
    await filters.getByLabel('Outcome').selectOption('refused')
    expect(await rows(page).count()).toBe(1)
    await filters.getByLabel('Contract').selectOption('all')
    await filters.getByLabel('Outcome').selectOption('all')
    await filters.getByLabel('Search').fill('BAD_secret token')
    expect(await rows(page).count()).toBe(1)
    await filters.getByLabel('Search').fill('')
    await pollPage(() => page.locator('#chart').getAttribute('aria-label')).toBe(
      'Last five minutes: 2 issued, 1 refused',
    )
    expect(await page.locator('#chart rect').count()).toBeGreaterThan(0)
    await button('Clear').click()
    await pollPage(() => rows(page).count()).toBe(0)
    expect((await control(service, 'GET', '/requests')).json).toEqual({ requests: [] })
  })

  test('L25: sets the clock', async () => {
    const offset = async () => Math.round(Number((await control(service, 'GET', '/clock')).json.offset) / 60_000)
    for (const [name, minutes] of [
      ['+1 m: advance the clock', 1],
      ['+10 m: advance the clock', 11],
      ['+10 h: advance the clock', 611],
    ] as const) {
      await button(name).click()
      await pollPage(offset).toBe(minutes)
    }
    await pollPage(() => text('#offset')).toBe('10 h 11 min ahead')
    await button('Freeze').click()
    await pollPage(() => text('#offset')).toBe('frozen')
    await button('Freeze').click()
    await pollPage(() => button('Freeze').getAttribute('aria-pressed')).toBe('false')
    await button('Reset the clock').click()
    await pollPage(() => text('#offset')).toBe('system time')
    expect(await offset()).toBe(0)
  })

  test('L25: shows the clock that another program has set', async () => {
    await control(service, 'PATCH', '/clock', { set: '2031-05-06T07:08:09Z', freeze: true })
    await pollPage(() => text('#now')).toBe('2031-05-06 07:08:09 UTC')
  })

  test('L25: issues a token under each contract and decodes it', async () => {
    const form = page.getByRole('form', { name: 'Issue a token' })
    await form.getByLabel('Secret').fill(APP_SECRET)
    await form.getByLabel('Challenge').selectOption('true')
    await button('Issue').click()
    const decoded = page.locator('#decoded')
    await pollPage(() => decoded.innerText()).toMatch(/bws token verifies, 3 tries left/)
    expect(await decoded.innerText()).toMatch(/771 = 0000 0011 0000 0011[\s\S]*verify[\s\S]*challenge response\s+yes/)
    await pollPage(() => decoded.innerText()).toMatch(/expires\s+in (?:10 min|9 min 5\d s)/)
    await button('+10 h: advance the clock').click()
    await pollPage(() => decoded.innerText()).toMatch(/token_expired[\s\S]*expires\s+9 h 50 min ago/)
    await button('Reset the clock').click()
    await pollPage(() => decoded.innerText()).toContain('verifies')

    await form.getByLabel('Issue under').selectOption('idscan')
    await form.getByLabel('Password').fill('never right')
    await button('Issue').click()
    await pollPage(() => page.getByRole('alert').innerText()).toContain('no token')
    // Chromium reports the failed request.
    await pollPage(() => complaints.splice(0).join()).toContain('400')

    await form.getByLabel('Issue under').selectOption('nevisfido')
    await button('Issue').click()
    await pollPage(() => decoded.innerText()).toMatch(/nevisfido token verifies[\s\S]*registration[\s\S]*tokenCreated/)
    await button('Forget').click()
    expect(await decoded.innerText()).toBe('')
  })

  test('L25: decodes a pasted header', async () => {
    const token = await issueIdscan(service)
    await page.getByLabel('Or paste a token').fill(`Authorization: Bearer ${token}`)
    await button('Decode').click()
    const decoded = page.locator('#decoded')
    await pollPage(() => decoded.innerText()).toContain('idscan token verifies')
    await decoded.getByText('Claims').click()
    expect(await decoded.innerText()).toContain('"sub"')
    await button('Forget').click()
  })

  test('L25: adds faults by contract and reason, counts and deletes them', async () => {
    const form = page.getByRole('form', { name: 'Add a fault' })
    await form.getByLabel('Contract').selectOption('bws')
    await form.getByLabel('Effect').selectOption('blocked')
    expect(await text('#effect-meaning')).toMatch(/blocks this account or address/)
    await form.getByLabel('Times').fill('2')
    await form.getByLabel('Delay', { exact: true }).fill('1ms')
    await button('Add fault').click()
    const fault = page.locator('#fault-list > li')
    await pollPage(() => fault.innerText()).toMatch(/reason blocked, delay 1ms for contract bws\s+met 0 of 2/)
    expect((await getToken(service, QUERY)).status).toBe(429)
    await pollPage(() => fault.innerText()).toContain('met 1 of 2')
    await pollPage(() => rows(page).first().innerText()).toContain('injected')
    await fault.getByRole('button', { name: /^Delete / }).click()
    await pollPage(() => fault.innerText()).toBe('No faults.')
    expect((await getToken(service, QUERY)).status).toBe(200)
  })

  test('L25: shows why a fault is invalid', async () => {
    const form = page.getByRole('form', { name: 'Add a fault' })
    await form.getByLabel('Delay', { exact: true }).fill('soon')
    await button('Add fault').click()
    await pollPage(() => page.getByRole('alert').innerText()).toContain('expected a duration')
    await pollPage(() => complaints.splice(0).join()).toContain('400')
    await form.getByLabel('Delay', { exact: true }).fill('')
  })

  test('L25: follows sessions while they change, and lifts a count of failed attempts', async () => {
    const { token } = await createToken(service, 'registration')
    const session = page.locator('#session-list > li')
    await pollPage(() => session.innerText()).toContain('tokenCreated')
    await redeem(service, 'registration', token)
    await pollPage(() => session.innerText()).toContain('clientRegistering')
    await button('+10 h: advance the clock').click()
    await pollPage(() => session.innerText()).toMatch(/failed|No sessions/)
    await button('Reset the clock').click()

    await getToken(service, QUERY, WRONG)
    const counts = page.locator('#guard-list > li')
    await pollPage(() => counts.first().innerText()).toContain('1 failed')
    await counts
      .first()
      .getByRole('button', { name: /^Lift / })
      .click()
    await pollPage(
      async () => ((await control(service, 'GET', '/guard')).json.counts as unknown[]).length,
    ).toBeLessThan(2)
  })

  test('L25: starts afresh with one button', async () => {
    await control(service, 'PATCH', '/clock', { advance: '1h' })
    await getToken(service, QUERY, WRONG)
    await pollPage(() => rows(page).count()).toBe(1)
    await button('Start afresh').click()
    await pollPage(() => text('#offset')).toBe('system time')
    await pollPage(() => rows(page).count()).toBe(0)
  })

  test.each([0, 1])('L25: shows that another program has emptied the journal, and %d requests since', async (since) => {
    await getToken(service, QUERY)
    await getToken(service, QUERY)
    await pollPage(() => rows(page).count()).toBe(2)
    await control(service, 'DELETE', '/requests')
    for (let sent = 0; sent < since; sent++) await getToken(service, QUERY, WRONG)
    await pollPage(() => rows(page).count()).toBe(since)
    expect(await text('#count')).toBe(`${since} ${since === 1 ? 'request' : 'requests'}`)
  })

  test('L26: works by keyboard', async () => {
    await getToken(service, QUERY, WRONG)
    await getToken(service, QUERY)
    await pollPage(() => rows(page).count()).toBe(2)
    await button('Clear').focus()
    await page.keyboard.press('Tab')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await pollPage(() => rows(page).nth(1).locator('details').getAttribute('open')).toBe('')
    await page.keyboard.press('ArrowUp')
    await page.keyboard.press('Space')
    await pollPage(() => rows(page).nth(0).locator('details').getAttribute('open')).toBe('')
    await button('+1 m: advance the clock').focus()
    await page.keyboard.press('Enter')
    await pollPage(() => text('#offset')).toMatch(/1 min ahead|59 s ahead/)
  })

  test.each([
    ['light', 1600],
    ['dark', 1600],
    ['light', 360],
    ['dark', 360],
  ] as const)('L26: axe finds nothing in %s at %i pixels, and nothing is wider', async (colorScheme, width) => {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width, height: 900 })
    await fillWithEverything()
    if (!(await page.evaluate('"axe" in window'))) await page.evaluate(AXE)
    const { violations } = await page.evaluate<{ violations: Violation[] }>(AXE_RUN)
    const findings = violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])
    expect(findings).toEqual([])
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    await page.setViewportSize({ width: 1280, height: 900 })
    await page.emulateMedia({ colorScheme: 'light' })
  })

  /** Gives every part of the page something to show. */
  async function fillWithEverything(): Promise<void> {
    // The page looks at the clock again after each of the requests that follow.
    await control(service, 'PATCH', '/clock', { freeze: true })
    await control(service, 'POST', '/faults', {
      match: { contract: 'bws', username: 'x' },
      then: { reason: 'blocked' },
    })
    await getToken(service, QUERY, WRONG)
    await control(service, 'POST', '/faults', { match: { path: '/x' }, then: { status: 503 } })
    await service.request('/x')
    await createToken(service, 'registration')
    await login(service)
    const token = await issueBws(service)
    await perform(service, token, 'verify')
    await upload(service, token)
    await page.getByLabel('Or paste a token').fill(token)
    await button('Decode').click()
    await page.locator('#decoded summary').click()
    await pollPage(() => text('#decoded')).toMatch(/Samples for the next attempt[\s\S]*Attempts/)
    await pollPage(() => rows(page).count()).toBeGreaterThanOrEqual(5)
    await rows(page).nth(1).locator('summary').click()
    await pollPage(() => text('#offset')).toBe('frozen')
  }

  test('L26: stays smooth with 1,000 requests', async () => {
    for (let batch = 0; batch < 21; batch++) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => fetch(`${service.url}/nowhere/${batch}/${index}`)))
    }
    await pollPage(() => text('#count')).toBe('1000 requests')
    expect(await page.locator('#journal > li').count()).toBe(1_000)
    // Rows out of sight are not rendered, and one more request touches one row.
    const touched = await page.evaluate(countChanges(`${service.url}/nowhere/last`))
    // Chromium reports the 404 that the page asked for.
    await pollPage(() => complaints.splice(0)).toHaveLength(1)
    expect(touched).toBe(2)
    const isRendered = '(row) => row.checkVisibility({ contentVisibilityAuto: true })'
    const rendered = await page.evaluate(
      `[...document.querySelectorAll('#journal summary')].filter(${isRendered}).length`,
    )
    expect(rendered).toBeLessThan(200)
  })

  test('L26: sends no request to another host', async () => {
    expect([...origins]).toEqual([service.url])
  })

  test('L3: asks for control.token and keeps it for the tab', async () => {
    const token = 'a token for the console 92'
    trackSecret(token)
    await using guarded = await startDevelopment({ configuration: { control: { token: `plain:${token}` } } })
    const other = await open(guarded)
    const dialog = other.getByRole('dialog')
    await dialog.getByLabel('Token').fill('wrong')
    await dialog.getByRole('button', { name: 'Continue' }).click()
    await pollPage(() => dialog.getByLabel('Token').inputValue()).toBe('')
    await dialog.getByLabel('Token').fill(token)
    await other.keyboard.press('Enter')
    await pollPage(() => other.locator('#connection').innerText()).toBe('live')
    await getToken(guarded, QUERY)
    await pollPage(() => rows(other).count()).toBe(1)
    await other.reload()
    await pollPage(() => rows(other).count()).toBe(1)
    expect(await dialog.count()).toBe(0)
    await other.close()
    expect(complaints.splice(0).every((complaint) => complaint.includes('401'))).toBe(true)
  })

  test('L25: says when the server is away', async () => {
    const ending = await startDevelopment()
    const other = await open(ending)
    await pollPage(() => other.locator('#connection').innerText()).toBe('live')
    await ending.close()
    await pollPage(() => other.locator('#connection').innerText()).toBe('reconnecting')
    await other.close()
    complaints.splice(0)
  })
})

/** Sends bytes, and resolves when the server has closed the connection. */
async function exchange(service: Service, bytes: string): Promise<void> {
  const socket = connect(service.port, '127.0.0.1')
  socket.end(bytes).resume()
  await once(socket, 'close')
}

/** Returns a script that sends a request and resolves to how many elements of the journal came and went. */
function countChanges(url: string): string {
  return `new Promise((resolve) => {
    const observer = new MutationObserver((changes) => {
      resolve(changes.reduce((sum, { addedNodes, removedNodes }) => sum + addedNodes.length + removedNodes.length, 0))
    })
    observer.observe(document.querySelector('#journal'), { childList: true, subtree: true })
    void fetch(${JSON.stringify(url)})
  })`
}
