import { readFileSync } from 'node:fs'
import type { Locator, Page, Route } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startTrimint } from '../../src/app/start-trimint.ts'
import { systemClock } from '../../src/app/system-clock.ts'
import type { Trimint } from '../../src/app/trimint.ts'
import { pollPage, type StartedBrowser, startBrowser } from '../support/browser.ts'
import { FULL } from '../support/full.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { captureLog } from '../support/log.ts'
import { hasProgram } from '../support/programs.ts'

// The API reference of the built-in demo, in a real browser.

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>
}

const { paths } = JSON.parse(readFileSync('openapi/openapi.json', 'utf8')) as Document
const SECRET = 'demo-secret'

const TIMEOUT = 120_000

/** A page, with everything that went wrong on it. */
interface WatchedPage {
  readonly page: Page
  readonly complaints: string[]
  /** Origins that it sent requests to. */
  readonly origins: Set<string>
}

interface Example {
  readonly operationId: string
  /** Matches what the page shows of the reply's body and headers. */
  readonly shows: RegExp
  /** Fills in values that the example cannot contain. */
  readonly fill?: (operation: Locator) => Promise<void>
}

describe.skipIf(!hasProgram('chromium'))('the API reference in a browser', { timeout: TIMEOUT }, () => {
  let trimint: Trimint
  let url: string
  let browser: StartedBrowser
  beforeAll(async () => {
    trimint = await startTrimint({ logger: captureLog(systemClock).logger })
    url = trimint.url
    browser = await startBrowser()
  }, TIMEOUT)
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await trimint?.close({ timeoutMs: 0 })
  })

  async function open(breakIt?: (page: Page) => Promise<void>): Promise<WatchedPage> {
    const page = await browser.context.newPage()
    const complaints: string[] = []
    const origins = new Set<string>()
    page.on('console', (message) => {
      // Chromium's advice about password fields is verbose: neither an error nor a warning.
      if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()}`)
    })
    page.on('pageerror', (error) => complaints.push(`script: ${error.message}`))
    page.on('requestfailed', (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`))
    page.on('response', (response) => {
      if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`)
    })
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url())
      if (protocol !== 'data:') origins.add(origin)
    })
    await breakIt?.(page)
    // Without this, Chromium paints the long page again for every frame of Swagger UI's transitions.
    const session = await browser.context.newCDPSession(page)
    await session.send('Animation.enable')
    await session.send('Animation.setPlaybackRate', { playbackRate: 1_000 })
    await page.goto(`${url}/docs`)
    return { page, complaints, origins }
  }

  const operations = (page: Page): Locator => page.locator('.opblock')

  /** Enters the credentials for one security scheme. */
  async function authorize(page: Page, scheme: string, id: string): Promise<void> {
    await page.locator('.scheme-container .authorize').click()
    const form = page.locator('.auth-container', { hasText: `${scheme}  (http, Basic)` })
    await form.locator('input[name="username"]').fill(id)
    await form.locator('input[name="password"]').fill(SECRET)
    await form.getByRole('button', { name: 'Apply credentials' }).click()
    await form.getByRole('button', { name: 'Remove authorization' }).waitFor()
    await page.locator('.modal-ux .close-modal').click()
  }

  /**
   * Sends the example of an operation.
   *
   * @returns the reply as the page shows it.
   */
  async function send(page: Page, { operationId, shows, fill }: Example): Promise<string> {
    const operation = page.locator(`.opblock[id$="-${operationId}"]`)
    const summary = operation.locator('.opblock-summary-control').first()
    await summary.click()
    const execute = operation.getByRole('button', { name: 'Execute' })
    await execute.waitFor()
    await fill?.(operation)
    await execute.click()
    const reply = operation.locator('.live-responses-table tr.response')
    const read = async () => ({
      status: (await reply.locator('.response-col_status').innerText()).trim(),
      details: await reply.locator('.response-col_description').innerText(),
    })
    // The page reads replies of an unknown type before it shows them.
    await pollPage(read).toEqual({ status: '200', details: expect.stringMatching(shows) })
    const { details } = await read()
    // Swagger UI renders every open operation again on each change.
    await summary.click()
    return details
  }

  describe('on one page', () => {
    let watched: WatchedPage
    beforeAll(async () => {
      watched = await open()
    }, TIMEOUT)
    afterEach(() => {
      expect(watched.complaints).toEqual([])
      expect([...watched.origins]).toEqual([url])
    })
    afterAll(() => watched?.page.close())

    test('loads from this server alone, without errors', async () => {
      const { page, complaints } = watched
      const look = async () => ({ complaints, isShown: (await operations(page).count()) > 0 })
      await pollPage(look).toEqual({ complaints: [], isShown: true })
      await page.waitForLoadState('networkidle')
    })

    test('lists every operation of the document', async () => {
      const { page } = watched
      await operations(page).first().waitFor()
      const listed = await operations(page).locator('.opblock-summary').allInnerTexts()
      const described = Object.entries(paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      )
      // Swagger UI puts zero-width spaces into long paths.
      const shown = listed.map((text) => text.replaceAll('\u200b', '').split(/\s+/).slice(0, 2).join(' '))
      expect(shown.toSorted()).toEqual(described.toSorted())
    })

    test('sends the health examples and shows the replies', async () => {
      const { page } = watched
      await send(page, { operationId: 'health', shows: /"status": "ok"/ })
      await send(page, { operationId: 'readiness', shows: /"status": "ready"/ })
    })

    test('sends the examples that issue, introspect and revoke a BWS token', async () => {
      const { page } = watched
      await authorize(page, 'app', 'demo-app')
      await authorize(page, 'resourceServer', 'demo-api')
      const token = secretIn(await send(page, { operationId: 'issueBwsToken', shows: /eyJ/ }), /(eyJ\S+)/)
      await send(page, {
        operationId: 'introspect',
        shows: /"active": true/,
        fill: (operation) => operation.locator('[data-property-name="token"] input').fill(token),
      })
      await send(page, { operationId: 'revoke', shows: /content-length: 0/ })
    })

    test('sends the IDscan login example and keeps its cookie for the check', async () => {
      const { page } = watched
      const login = await send(page, { operationId: 'issueIdscanToken', shows: /"access_token": "eyJ/ })
      secretIn(login, /"access_token": "([^"]+)"/)
      await send(page, { operationId: 'checkIdscanToken', shows: /x-trimint-subject: demo/ })
    })

    test('sends the examples that create and redeem a nevisFIDO token', async () => {
      const { page } = watched
      await authorize(page, 'client', 'demo-backend')
      const created = await send(page, { operationId: 'createFidoToken', shows: /"statusCode": 1200/ })
      const body = JSON.stringify({ token: secretIn(created, /"token": "([^"]+)"/) })
      await send(page, {
        operationId: 'redeemFidoToken',
        shows: /"statusCode":1200/,
        fill: (operation) => operation.locator('textarea').fill(body),
      })
      await send(page, { operationId: 'fidoStatus', shows: /"status": "unknown"/ })
    })
  })

  describe('this test', () => {
    const replace = (body: string) => async (route: Route) => route.fulfill({ response: await route.fetch(), body })
    const FAULTS: [string, string, (route: Route) => Promise<void>][] = [
      ['the library is missing', '**/swagger-ui-bundle.js', (route) => route.abort()],
      ['its script fails', '**/page.js', replace('nothing()')],
      ['the document is gone', '**/openapi.json', (route) => route.fulfill({ status: 404 })],
      ['it asks another host', '**/page.js', replace('fetch("https://example.com/")')],
      ['it takes a font from another host', '**/swagger-ui.css', replace('@import "https://example.com/font.css";')],
      ['it has an inline script', '**/docs', replace('<html><script>document.title = "x"</script></html>')],
      ['it evaluates text', '**/page.js', replace('eval("1")')],
    ]
    // Chromium takes a second of processor time for each page.
    test.each(FULL ? FAULTS : FAULTS.slice(0, 2))('notices when %s', async (_what, files, handle) => {
      const { page, complaints } = await open(async (page) => void (await page.route(files, handle)))
      await pollPage(() => complaints.length).toBeGreaterThan(0)
      await page.close()
    })
  })
})

/** Extracts a secret from a reply and tracks it. */
function secretIn(reply: string, pattern: RegExp): string {
  const [, secret = ''] = pattern.exec(reply) ?? []
  trackSecret(secret)
  return secret
}
