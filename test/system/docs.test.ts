import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Locator, Page, Route } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type StartedBrowser, startBrowser } from '../support/browser.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { type StartedProcess, startProcess } from '../support/process.ts'
import { hasProgram } from '../support/programs.ts'
import { KEY } from '../support/service.ts'

// The API reference as a real browser shows it, of a real process with the example configuration.

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>
}

const { paths } = JSON.parse(readFileSync('openapi/openapi.json', 'utf8')) as Document
const SECRET = 'demo-secret'

/** For a browser on a busy machine. */
const PATIENCE = { timeout: 20_000 }

/** A page, and everything that was wrong with it. */
interface WatchedPage {
  readonly page: Page
  readonly complaints: string[]
  /** Whom it has asked. */
  readonly origins: Set<string>
}

interface Example {
  readonly operationId: string
  /** What the page has to show of the reply, body and headers. */
  readonly shows: RegExp
  /** Types what the example cannot know. */
  readonly fill?: (operation: Locator) => Promise<void>
}

describe.skipIf(!hasProgram('chromium'))('the API reference in a browser', { timeout: 60_000 }, () => {
  let server: StartedProcess
  let url: string
  let browser: StartedBrowser
  beforeAll(async () => {
    trackSecret(KEY)
    const TRIMINT_CONFIG = 'trimint.yaml'
    server = await startProcess({ TRIMINT_CONFIG, TRIMINT_KEY: KEY }, writeConfiguration)
    url = (await server.sees(/"event":"server.listening","url":"(http:[^"]+)"/))[1] ?? ''
    browser = await startBrowser()
  }, 60_000)
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
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
    await page.goto(`${url}/docs`)
    return { page, complaints, origins }
  }

  const operations = (page: Page): Locator => page.locator('.opblock')

  /** Gives the page the credentials of a kind of caller. */
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
   * Sends an operation's own example.
   *
   * @returns what the page shows of the reply.
   */
  async function send(page: Page, { operationId, shows, fill }: Example): Promise<string> {
    const operation = page.locator(`.opblock[id$="-${operationId}"]`)
    await operation.locator('.opblock-summary-control').first().click()
    const execute = operation.getByRole('button', { name: 'Execute' })
    await execute.waitFor()
    await fill?.(operation)
    await execute.click()
    const reply = operation.locator('.live-responses-table tr.response')
    const read = async () => ({
      status: (await reply.locator('.response-col_status').innerText()).trim(),
      details: await reply.locator('.response-col_description').innerText(),
    })
    // A type that it does not know is read first, and shown after that.
    await expect.poll(read, PATIENCE).toEqual({ status: '200', details: expect.stringMatching(shows) })
    return (await read()).details
  }

  test('opens without an error, and asks this server alone', async () => {
    const { page, complaints, origins } = await open()
    const look = async () => ({ complaints, isShown: (await operations(page).count()) > 0 })
    await expect.poll(look, PATIENCE).toEqual({ complaints: [], isShown: true })
    await page.waitForLoadState('networkidle')
    expect(complaints).toEqual([])
    expect([...origins]).toEqual([url])
  })

  test('lists every operation of the document', async () => {
    const { page } = await open()
    await operations(page).first().waitFor()
    const listed = await operations(page).locator('.opblock-summary').allInnerTexts()
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    // The browser may break a long path anywhere, with zero-width spaces.
    const shown = listed.map((text) => text.replaceAll('\u200b', '').split(/\s+/).slice(0, 2).join(' '))
    expect(shown.toSorted()).toEqual(described.toSorted())
  })

  describe('sends its own examples, and shows what they are answered with:', () => {
    let watched: WatchedPage
    beforeEach(async () => {
      watched = await open()
    })
    afterEach(async () => {
      expect(watched.complaints).toEqual([])
      expect([...watched.origins]).toEqual([url])
      await watched.page.close()
    })

    test('health', async () => {
      const { page } = watched
      await send(page, { operationId: 'health', shows: /"status": "ok"/ })
      await send(page, { operationId: 'readiness', shows: /"status": "ready"/ })
    })

    test('a BWS token, which is introspected, and a revocation', async () => {
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

    test('an IDscan login, whose cookie the page has from then on', async () => {
      const { page } = watched
      const login = await send(page, { operationId: 'issueIdscanToken', shows: /"access_token": "eyJ/ })
      secretIn(login, /"access_token": "([^"]+)"/)
      await send(page, { operationId: 'checkIdscanToken', shows: /x-trimint-subject: demo/ })
    })

    test('a nevisFIDO token, which is redeemed', async () => {
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

  describe('is found to be broken', () => {
    const replace = (body: string) => async (route: Route) => route.fulfill({ response: await route.fetch(), body })
    test.each<[string, string, (route: Route) => Promise<void>]>([
      ['the library is missing', '**/swagger-ui-bundle.js', (route) => route.abort()],
      ['its script fails', '**/page.js', replace('nothing()')],
      ['the document is gone', '**/openapi.json', (route) => route.fulfill({ status: 404 })],
      ['it asks another host', '**/page.js', replace('fetch("https://example.com/")')],
      ['it takes a font from another host', '**/swagger-ui.css', replace('@import "https://example.com/font.css";')],
      ['it has a script of its own', '**/docs', replace('<html><script>document.title = "x"</script></html>')],
      ['it evaluates text', '**/page.js', replace('eval("1")')],
    ])('when %s', async (_what, files, handle) => {
      const { page, complaints } = await open(async (page) => void (await page.route(files, handle)))
      await expect.poll(() => complaints.length, PATIENCE).toBeGreaterThan(0)
      await page.close()
    })
  })
})

/** What stands in a reply and must stand in no log. */
function secretIn(reply: string, pattern: RegExp): string {
  const [, secret = ''] = pattern.exec(reply) ?? []
  trackSecret(secret)
  return secret
}

/** The example, without a limit that a busy machine reaches. */
function writeConfiguration(folder: string): void {
  const example = readFileSync(resolve('trimint.example.yaml'), 'utf8')
  const unlimited = example.replace(/^overload: .*$/m, 'overload: false')
  expect(unlimited).not.toBe(example)
  writeFileSync(join(folder, 'trimint.yaml'), unlimited)
}
