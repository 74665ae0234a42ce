import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { request } from 'undici'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTrimint } from '../../../../src/app/start-trimint.ts'
import type { Trimint } from '../../../../src/app/trimint.ts'
import { startBrowser } from '../../../support/browser.ts'
import { trackSecret } from '../../../support/leak-recorder.ts'
import { hasProgram } from '../../../support/programs.ts'
import { basic } from '../../../support/service.ts'
import { DATA_URL } from '../../../support/stand-ins.ts'

// Whole journeys by clients in the manner of the vendors' samples, against the demo.

const CLIENTS = 'test/support/journeys'
const START_TIMEOUT_MS = 120_000

let trimint: Trimint
let folder: string
beforeAll(async () => {
  trimint = await startTrimint()
  folder = await mkdtemp(join(tmpdir(), 'trimint-journeys-'))
})
afterAll(async () => {
  await trimint.close({ timeoutMs: 0 })
  await rm(folder, { recursive: true })
})
beforeEach(() => trimint.reset())

const ACCEPTED = '{"Accepted":true,"Error":null,"Warnings":[]}'
const SUCCEEDED = '{"Success":true,"Error":null}'
const app = { authorization: basic('demo-app', 'demo-secret') }

const verified = (bcid: string) => `{"Action":"verification","BCID":"${bcid}","Success":true,"Error":null}`

/** Copies a client with the URL of the demo. */
async function prepare(name: string): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, readFileSync(join(CLIENTS, name), 'utf8').replaceAll('http://127.0.0.1:8080', trimint.url))
  return file
}

async function runJava(...names: string[]): Promise<string[]> {
  const files = await Promise.all(names.map(prepare))
  // Where no locale is set, Java reads and writes ASCII.
  const options = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Dfile.encoding=UTF-8']
  const words = [...options, resolve('test/support/RunSnippets.java'), ...files]
  const { stdout } = await promisify(execFile)('java', words, { cwd: folder })
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [outcome, base64 = ''] = line.split(' ')
      return `${outcome}\n${Buffer.from(base64, 'base64')}`
    })
}

test.skipIf(!hasProgram('java'))(
  'S1 to S7, S11, S12: Java clients go the whole way with both vendors',
  { timeout: START_TIMEOUT_MS },
  async () => {
    const [bws, idscan] = await runJava('BwsJourney.java', 'IdscanJourney.java')
    expect(bws?.trim().split('\n')).toEqual([
      'ok',
      ...[ACCEPTED, ACCEPTED, SUCCEEDED],
      ...[ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED, SUCCEEDED],
      verified('bws/112/21'),
    ])
    expect(idscan?.trim()).toBe('ok\nPassed')
  },
)

test.skipIf(!hasProgram('php'))('S1 to S7: a PHP client enrolls, verifies and reads the result', async () => {
  const { stdout } = await promisify(execFile)('php', [await prepare('bws.php')])
  expect(stdout.trim().split('\n')).toEqual([
    ...[ACCEPTED, ACCEPTED, SUCCEEDED],
    ...[ACCEPTED, ACCEPTED, SUCCEEDED],
    verified('bws/112/22'),
  ])
})

test.skipIf(!hasProgram('php'))(
  'S11, S12, S13: a PHP client uploads a document and retrieves the journey',
  async () => {
    const { stdout } = await promisify(execFile)('php', [await prepare('idscan.php')])
    expect(stdout).toBe('Passed same 1\n')
  },
)

async function issue(query: string): Promise<string> {
  const { body } = await request(`${trimint.url}/token?id=demo-app&${query}`, { headers: app })
  const token = await body.text()
  trackSecret(token)
  return token
}

test('S2 to S8, S15: a JavaScript client retries until a person is recognised', async () => {
  const post = async (path: string, token: string) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'text/plain' }
    return (await request(trimint.url + path, { method: 'POST', headers, body: DATA_URL })).body.json()
  }
  const get = async (path: string, authorization: string) => {
    const { statusCode, body } = await request(trimint.url + path, { headers: { authorization } })
    return statusCode === 204 ? undefined : ((await body.json()) as Record<string, unknown>)
  }
  async function attempt(task: string, token: string) {
    for (const index of [1, 2]) await post(`/upload?index=${index}`, token)
    return get(`/${task}`, `Bearer ${token}`)
  }
  expect(await attempt('enroll', await issue('bcid=bws.112.23&task=enroll'))).toEqual({ Success: true, Error: null })
  await trimint.outcomes.set({ bws: { verify: ['LiveDetectionFailed', 'NotRecognized'] } })
  const token = await issue('bcid=bws.112.23')
  const result = () => get(`/result?access_token=${token}`, app.authorization)
  expect(await result()).toBeUndefined()
  const errors = []
  for (let tries = 3; tries > 0; tries -= 1) {
    const reply = await attempt('verify', token)
    errors.push(reply?.Success ? 'success' : reply?.Error)
  }
  expect(errors).toEqual(['LiveDetectionFailed', null, 'success'])
  expect(await result()).toMatchObject({ Action: 'verification', Success: true })
})

test.skipIf(!hasProgram('chromium'))(
  'S2, S3, S9: a capture page of another origin uploads, verifies, and tries again in Chromium',
  { timeout: START_TIMEOUT_MS },
  async () => {
    const page = readFileSync(join(CLIENTS, 'capture.html'))
    const origin = createServer((_request, reply) => reply.setHeader('content-type', 'text/html').end(page))
    await once(origin.listen(0, '127.0.0.1'), 'listening')
    await trimint.outcomes.set({ bws: { verify: ['LiveDetectionFailed', 'success'] } })
    const token = await issue('bcid=bws.112.24&challenge=true')
    const parameters = new URLSearchParams({ api: `${trimint.url}/extension/`, token, task: 'verify' })
    try {
      await using browser = await startBrowser()
      const tab = await browser.context.newPage()
      await tab.goto(`http://127.0.0.1:${(origin.address() as AddressInfo).port}/#${parameters}`)
      await tab.waitForFunction("document.title === 'Done'")
      const lines = await tab.locator('#log li').allTextContents()
      const samples = Array(4).fill(`200 ${ACCEPTED}`)
      const failed = '200 {"Success":false,"Error":"LiveDetectionFailed"}'
      expect(lines).toEqual([...samples, failed, ...samples, `200 ${SUCCEEDED}`])
      const uploads = await trimint.requests({ path: '/extension/upload' })
      expect(new Set(uploads.map(({ method }) => method))).toEqual(new Set(['OPTIONS', 'POST']))
    } finally {
      origin.close()
      origin.closeAllConnections()
    }
  },
)
