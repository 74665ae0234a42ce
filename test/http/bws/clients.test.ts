import { execFileSync } from 'node:child_process'
import { createSecretKey } from 'node:crypto'
import { jwtVerify } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import { hasProgram } from '../../support/programs.ts'
import { APP, APP_SECRET, basic, KEY, startService } from '../../support/service.ts'

// Sends what the vendor's samples send, and decodes the reply as they do.

const service = await startService({
  configuration: {
    bws: { apps: [APP, { ...APP, id: 'app-2', client: 'A&B > C? ~ü', challengeClaim: 'string' }] },
  },
})
afterAll(() => service.close())

/** .NET: HttpClient with AuthenticationHeaderValue("Basic", …) and the query as one interpolated string. */
const dotnet = (id: string) => ({
  path: `/extension/token?id=${id}&bcid=bws/112/12345&task=verify&maxtries=5&challenge=true`,
  headers: { authorization: basic(id, APP_SECRET) },
})

/** OkHttp: Credentials.basic and HttpUrl.Builder, gzip accepted. */
const okhttp = (id: string) => ({
  path: `/token?id=${id}&bcid=bws.112.12345&task=verify&maxtries=5&livedetection=true&challenge=true&autoenroll=false`,
  headers: {
    authorization: basic(id, APP_SECRET),
    'accept-encoding': 'gzip',
    connection: 'Keep-Alive',
    'user-agent': 'okhttp/4.12.0',
  },
})

/** PHP's way: explode on dots, base64_decode without the url alphabet, json_decode. */
function decodePlainBase64(token: string): unknown {
  const [, payload = ''] = token.split('.')
  expect(payload).not.toMatch(/[-_]/)
  return JSON.parse(Buffer.from(payload, 'base64').toString('utf8'))
}

/** Nimbus' way: exactly three parts, strict base64url, strict JSON. */
function decodeStrictly(token: string): unknown {
  const parts = token.split('.')
  expect(parts).toHaveLength(3)
  const decoded = parts.map((part) => {
    expect(part).toMatch(/^[A-Za-z0-9_-]+$/)
    const bytes = Buffer.from(part, 'base64url')
    expect(bytes.toString('base64url')).toBe(part)
    return bytes
  })
  const payload = new TextDecoder('utf-8', { fatal: true }).decode(decoded[1])
  return JSON.parse(payload)
}

describe.each([
  { sample: '.NET', ask: dotnet, id: 'app-1', form: 'array' },
  { sample: '.NET', ask: dotnet, id: 'app-2', form: 'string' },
  { sample: 'OkHttp', ask: okhttp, id: 'app-1', form: 'array' },
  { sample: 'OkHttp', ask: okhttp, id: 'app-2', form: 'string' },
])('the $sample sample, challenge as $form', ({ ask, id, form }) => {
  test('B27, B30: issues a token from which every decoder reads the same claims', async () => {
    const { path, headers } = ask(id)
    const { status, body } = await service.request(path, { headers })
    expect(status).toBe(200)
    const { payload } = await jwtVerify(body, createSecretKey(Buffer.from(KEY, 'base64url')), { algorithms: ['HS256'] })
    expect(decodePlainBase64(body)).toEqual(payload)
    expect(decodeStrictly(body)).toEqual(payload)
    expect(payload).toMatchObject({ app: id, bcid: 'bws/112/12345', task: 773 })
    expect(Array.isArray(payload.challenge) ? 'array' : typeof payload.challenge).toBe(form)
  })

  test.skipIf(!hasProgram('php'))(
    "B27: issues a token whose claims PHP's base64_decode and json_decode read",
    async () => {
      const { path, headers } = ask(id)
      const { body } = await service.request(path, { headers })
      const script = 'echo json_encode(json_decode(base64_decode(explode(".", $argv[1])[1])));'
      const printed = execFileSync('php', ['-r', script, body]).toString()
      expect(JSON.parse(printed)).toEqual(decodeStrictly(body))
    },
  )
})

test('B3: accepts fetch with a hand-made Authorization header, as axios and fetch callers send it', async () => {
  const response = await fetch(`${service.url}/token?id=app-1&bcid=bws.112.12345&foo`, {
    headers: { Authorization: basic('app-1', APP_SECRET), Accept: 'application/json, text/plain, */*' },
  })
  expect(response.status).toBe(200)
  expect(decodeStrictly(await response.text())).toMatchObject({ app: 'app-1' })
})

test.skipIf(!hasProgram('curl'))('B3: accepts curl -u, also with -G and --data-urlencode', async () => {
  const { execFile } = await import('node:child_process')
  const { promisify } = await import('node:util')
  const { stdout } = await promisify(execFile)('curl', [
    '-sS',
    '-G',
    '-u',
    `app-1:${APP_SECRET}`,
    `${service.url}/token`,
    '-d',
    'id=app-1',
    '--data-urlencode',
    'bcid=bws/112/-5',
    '--data-urlencode',
    'traits=Face, Voice',
  ])
  expect(decodeStrictly(stdout)).toMatchObject({ bcid: 'bws/112/-5', traits: 5 })
})
