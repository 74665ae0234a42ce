import type { Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { pollPage, type StartedBrowser, startBrowser } from '../../../support/browser.ts'
import { control } from '../../../support/development.ts'
import { hasProgram } from '../../../support/programs.ts'
import {
  chooseOutcomes,
  issueToken,
  logIn,
  perform,
  resetAll,
  startStandIns,
  upload,
  uploadJourney,
} from '../../../support/stand-ins.ts'

const service = await startStandIns()
afterAll(() => service.close())
beforeEach(() => resetAll(service))

const decode = async (token: string) => (await control(service, 'POST', '/decode', { token })).json

describe('S8, S15: a decoded token', () => {
  test('says what it was used for', async () => {
    const token = await issueToken(service, 'bcid=bws.112.7&task=enroll')
    expect(await decode(token)).not.toHaveProperty('use')
    await perform(service, token, 'enroll')
    await upload(service, token, { query: 'tag=left&index=3&trait=Face' })
    expect((await decode(token)).use).toEqual({
      samples: [
        expect.objectContaining({ format: 'png', width: 1, height: 1, directions: ['left'], index: 3, trait: 'Face' }),
      ],
      attempts: [expect.objectContaining({ task: 'enroll', bcid: 'bws/112/7', success: true, error: null })],
    })
    await resetAll(service)
    expect(await decode(token)).not.toHaveProperty('use')
  })

  test('of IDscan names its journeys', async () => {
    const token = await logIn(service, 'scanning')
    const { JourneyId } = JSON.parse((await uploadJourney(service, token)).body)
    expect((await decode(token)).use).toMatchObject({ journeys: [{ id: JourneyId, documents: 1 }] })
  })

  test('that is forged says nothing', async () => {
    const token = await issueToken(service, 'bcid=bws.112.7')
    await upload(service, token)
    const forged = `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(43)}`
    expect(await decode(forged)).not.toHaveProperty('use')
  })
})

describe.skipIf(!hasProgram('chromium'))('the console in a browser', { timeout: 120_000 }, () => {
  let browser: StartedBrowser
  let page: Page
  beforeAll(async () => {
    browser = await startBrowser()
    page = await browser.context.newPage()
    await page.goto(`${service.url}/_trimint/`)
  }, 120_000)
  afterAll(() => browser?.[Symbol.asyncDispose]())

  test('S4, S15: shows samples, tries and outcomes of a token while it is used', async () => {
    await chooseOutcomes(service, { bws: { verify: ['LiveDetectionFailed', 'NotRecognized'] } })
    const token = await issueToken(service, 'bcid=bws.112.7')
    await page.getByLabel('Or paste a token').fill(token)
    await page.getByRole('button', { name: 'Decode' }).click()
    const decoded = page.locator('#decoded')
    await pollPage(() => decoded.innerText()).toContain('3 tries left')
    await upload(service, token, { query: 'tag=up&index=1' })
    await pollPage(() => decoded.innerText()).toMatch(/Samples for the next attempt\s+png 1 × 1, tag up, index 1/)
    await perform(service, token, 'verify')
    await perform(service, token, 'verify')
    const attempts = decoded.getByRole('list', { name: 'Attempts' })
    await pollPage(() => attempts.innerText()).toMatch(/verify\s+LiveDetectionFailed[\s\S]*verify\s+not recognised/)
    expect(await decoded.innerText()).toContain('1 tries left')
  })

  test('S11: shows the journeys of a token', async () => {
    const token = await logIn(service, 'scanning')
    const { JourneyId } = JSON.parse((await uploadJourney(service, token)).body)
    await uploadJourney(service, token, { PersonEntryId: JourneyId })
    await page.getByLabel('Or paste a token').fill(token)
    await page.getByRole('button', { name: 'Decode' }).click()
    const journeys = page.locator('#decoded').getByRole('list', { name: 'Journeys' })
    await pollPage(() => journeys.innerText()).toMatch(new RegExp(`${JourneyId}\\s+2 uploaded`))
  })

  test('S4: explains a call that was not served', async () => {
    await perform(service, await issueToken(service, 'bcid=bws.112.7'), 'verify', [])
    const row = page.locator('#journal > li').first()
    await pollPage(() => row.innerText()).toMatch(/\/verify[\s\S]*400[\s\S]*No samples were uploaded/)
  })
})
