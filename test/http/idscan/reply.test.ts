import { createSecretKey } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { hashSync } from '@node-rs/argon2'
import { jwtVerify } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import { systemRandomness } from '../../../src/app/system-randomness.ts'
import { getToken, QUERY } from '../../support/bws.ts'
import { cert, key } from '../../support/certificate.ts'
import { ACCOUNT, encodeForm, jsonOf, LOGIN, login, PASSWORD, PATH } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { createPredictableRandomness } from '../../support/randomness.ts'
import { KEY, type Reply, startService } from '../../support/service.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const clock = createFrozenClock()
const idscan = {
  accounts: [
    ACCOUNT,
    { username: 'bare', password: `plain:${PASSWORD}` },
    { ...ACCOUNT, username: 'off', disabled: true },
  ],
}
const service = await startService({ clock, configuration: { guard: false, idscan } })
afterAll(() => service.close())

const NAME = 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name'
const ROLE = 'http://schemas.microsoft.com/ws/2008/06/identity/claims/role'

describe('a successful login', () => {
  test("I15, I16: returns compact JSON with keys in the order of the vendor's sample, byte for byte", async () => {
    await using predictable = await startService({
      clock,
      randomness: createPredictableRandomness(),
      configuration: { idscan, publicUrl: 'https://tokens.example.com' },
    })
    const reply = await login(predictable)
    expect(reply.headers['content-type']).toBe('application/json;charset=UTF-8')
    const { access_token } = jsonOf(reply)
    expect(reply.body).toBe(
      `{"access_token":"${access_token}","token_type":"bearer","expires_in":35999,"BranchCode":"0042",` +
        `"${NAME}":"psc","FullName":"PSC","AbbeyServiceCentre":"","JourneyId":"","IdleSessionTimeout":"15",` +
        `"${ROLE}":"SuperAdministrator","memberOf":"Users,Other Users","tenant":"IDscan",` +
        '".issued":"Fri, 02 Jan 2026 03:04:05 GMT",".expires":"Fri, 02 Jan 2026 13:04:05 GMT"}',
    )
  })

  test('I17: returns an empty string for a member without a value', async () => {
    const json = jsonOf(await login(service, { ...LOGIN, username: 'bare', area: '' }))
    expect(json).toMatchObject({
      BranchCode: '',
      FullName: '',
      AbbeyServiceCentre: '',
      JourneyId: '',
      [ROLE]: '',
      memberOf: '',
      tenant: '',
    })
    const { expires_in, ...strings } = json
    for (const value of Object.values(strings)) expect(value).toBeTypeOf('string')
    expect(json).not.toHaveProperty('refresh_token')
    const folded = Object.keys(json).map((name) => name.toLowerCase())
    expect(new Set(folded).size).toBe(folded.length)
  })

  test.each([
    ['10h', 35_999],
    ['1h', 3_599],
    ['30s', 29],
  ])('I18, I19: returns expires_in and dates for a lifetime of %s', async (lifetime, expiresIn) => {
    await using other = await startService({ clock, configuration: { idscan: { lifetime, accounts: [ACCOUNT] } } })
    const json = jsonOf(await login(other))
    expect(json.expires_in).toBe(expiresIn)
    expect(Date.parse(String(json['.expires'])) - Date.parse(String(json['.issued']))).toBe((expiresIn + 1) * 1000)
    expect(json['.issued']).toMatch(/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/)
  })

  test('I16: returns the idle time-out in minutes', async () => {
    const configuration = { idscan: { idleTimeout: '1h', accounts: [ACCOUNT] } }
    await using other = await startService({ configuration })
    expect(jsonOf(await login(other)).IdleSessionTimeout).toBe('60')
  })
})

describe('the cookies', () => {
  const cookiesOf = ({ headers }: Reply) => headers['set-cookie'] as string[]

  test('I20: sets the cookies token and csrftoken, without Expires', async () => {
    const reply = await login(service)
    const [token, csrf, ...others] = cookiesOf(reply)
    expect(others).toEqual([])
    expect(token).toBe(`token=${jsonOf(reply).access_token}; Path=/; Secure; HttpOnly`)
    expect(csrf).toMatch(/^csrftoken=(?:[A-Za-z0-9]|%2B|%2F|%3D)+; Path=\/; Secure$/)
    const value = decodeURIComponent(csrf?.match(/^csrftoken=([^;]+)/)?.[1] ?? '')
    expect(Buffer.from(value, 'base64')).toHaveLength(24)
  })

  test('I20: sets csrftoken to random, percent-encoded base64', async () => {
    const values = await Promise.all(Array.from({ length: 20 }, async () => cookiesOf(await login(service))[1]))
    expect(new Set(values).size).toBe(20)
    expect(values.join()).toMatch(/%2[BF]/)
  })

  test('I20: sets Secure only for callers that use https', async () => {
    const insecure = { publicUrl: 'http://t.example.com', idscan }
    const trusting = { ...insecure, trustProxy: ['loopback'] }
    const cases = [
      { configuration: insecure, headers: {}, secure: false },
      { configuration: insecure, headers: { 'x-forwarded-proto': 'https' }, secure: false },
      { configuration: trusting, headers: { 'x-forwarded-proto': 'https' }, secure: true },
      { configuration: trusting, headers: { 'x-forwarded-proto': 'HTTPS' }, secure: true },
      { configuration: trusting, headers: { 'x-forwarded-proto': 'http' }, secure: false },
      { configuration: { ...insecure, tls: { cert, key } }, headers: {}, secure: true },
      { configuration: { ...insecure, publicUrl: 'https://t.example.com' }, headers: {}, secure: true },
    ]
    for (const { configuration, headers, secure } of cases) {
      await using other = await startService({ configuration })
      for (const cookie of cookiesOf(await login(other, LOGIN, { headers })))
        expect(cookie.includes('; Secure')).toBe(secure)
    }
  })

  test('I20: sets no cookie with an error', async () => {
    expect((await login(service, { ...LOGIN, password: 'wrong password' })).headers['set-cookie']).toBeUndefined()
  })
})

test('I21: forbids storing any reply', async () => {
  const replies = [
    await login(service),
    await login(service, { ...LOGIN, password: 'wrong password' }),
    await login(service, {}),
    await service.request(PATH),
    await service.request(PATH, { method: 'OPTIONS' }),
    await login(service, 'x'.repeat(70_000)),
  ]
  expect(replies.map(({ status }) => status)).toEqual([200, 400, 400, 405, 204, 413])
  for (const { headers } of replies) {
    expect(headers).toMatchObject({ 'cache-control': 'no-cache, no-store', pragma: 'no-cache', expires: '-1' })
  }
})

describe('the token', () => {
  const secret = createSecretKey(Buffer.from(KEY, 'base64url'))
  const verify = async (token: unknown) => {
    const { payload } = await jwtVerify(String(token), secret, {
      algorithms: ['HS256'],
      currentDate: new Date(clock()),
    })
    return payload
  }

  test('I22: issues an HS256 JWS for account and area, with a new id', async () => {
    const payload = await verify(jsonOf(await login(service)).access_token)
    const seconds = Math.floor(FROZEN_TIME / 1000)
    expect(payload).toEqual({
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sub: 'psc',
      name: 'PSC',
      role: 'SuperAdministrator',
      area: 'scanning',
      tenant: 'IDscan',
      iss: 'https://tokens.example.com/some/path',
      aud: 'https://tokens.example.com/some/path',
      iat: seconds,
      nbf: seconds,
      exp: seconds + 36_000,
    })
    expect(Object.keys(payload)).toEqual([
      'jti',
      'sub',
      'name',
      'role',
      'area',
      'tenant',
      'iss',
      'aud',
      'iat',
      'nbf',
      'exp',
    ])
  })

  test('I22: issues no claim for a property that the account lacks', async () => {
    const payload = await verify(jsonOf(await login(service, { ...LOGIN, username: 'bare', area: '' })).access_token)
    expect(Object.keys(payload)).toEqual(['jti', 'sub', 'iss', 'aud', 'iat', 'nbf', 'exp'])
  })

  test('I22: issues two valid tokens for two logins in one second', async () => {
    const tokens = await Promise.all(Array.from({ length: 50 }, async () => jsonOf(await login(service)).access_token))
    expect(new Set(tokens).size).toBe(50)
    for (const token of tokens) await verify(token)
  })

  test('I22: shares keys and header with BWS, but none of the claims that identify a contract', async () => {
    const idscanClaims = await verify(jsonOf(await login(service)).access_token)
    const bwsClaims = await verify((await getToken(service, QUERY)).body)
    expect(idscanClaims).not.toHaveProperty('tokenid')
    expect(idscanClaims).not.toHaveProperty('task')
    expect(bwsClaims).not.toHaveProperty('jti')
    expect(bwsClaims).not.toHaveProperty('sub')
  })
})

describe('errors', () => {
  const INVALID = '{"error":"invalid_grant","error_description":"The user name or password is incorrect."}'
  const cases = [
    { what: 'a wrong password', form: { password: 'wrong password' }, reason: 'bad_password', account: 'psc' },
    {
      what: 'a password in another case',
      form: { password: PASSWORD.toUpperCase() },
      reason: 'bad_password',
      account: 'psc',
    },
    { what: 'an unknown user', form: { username: 'nobody' }, reason: 'unknown_account', account: undefined },
    {
      what: 'a user that every object has as a property',
      form: { username: '__proto__' },
      reason: 'unknown_account',
      account: undefined,
    },
    { what: 'a disabled account', form: { username: 'off' }, reason: 'account_disabled', account: 'off' },
    {
      what: 'a disabled account and a wrong password',
      form: { username: 'off', password: 'x' },
      reason: 'bad_password',
      account: 'off',
    },
  ]
  test.each(cases)('I23: returns the same bytes for $what, and logs the reason', async ({ form, reason, account }) => {
    const reply = await login(service, { ...LOGIN, ...form })
    expect(reply).toMatchObject({ status: 400, body: INVALID })
    const { 'x-request-id': _id, date: _date, ...headers } = reply.headers
    expect(headers).toEqual({
      'content-type': 'application/json;charset=UTF-8',
      'cache-control': 'no-cache, no-store',
      pragma: 'no-cache',
      expires: '-1',
      'content-length': String(INVALID.length),
      connection: 'keep-alive',
      'keep-alive': 'timeout=72',
    })
    expect(service.log.at(-1)).toMatchObject({ event: 'token.refused', contract: 'idscan', reason })
    expect(service.log.at(-1)?.account).toBe(account)
  })

  test('I23: does not log an unknown name, which may be a password in the wrong field', async () => {
    trackSecret('my-password-as-a-name')
    await login(service, { ...LOGIN, username: 'my-password-as-a-name' })
    expect(service.log.at(-1)).not.toHaveProperty('account')
  })

  test('I23: returns the same bytes for argon2id hashes of different parameters', async () => {
    const weak = hashSync('old password', { memoryCost: 1024, timeCost: 1, parallelism: 1 })
    const strong = hashSync('new password', { memoryCost: 2048, timeCost: 3, parallelism: 2 })
    const accounts = [
      { username: 'old', password: weak },
      { username: 'new', password: strong },
    ]
    await using other = await startService({ configuration: { idscan: { accounts } } })
    const status = async (username: string, password: string) =>
      (await login(other, { grant_type: 'password', username, password })).status
    expect(await status('old', 'old password')).toBe(200)
    expect(await status('old', 'new password')).toBe(400)
    expect(await status('new', 'new password')).toBe(200)
    expect(await status('new', 'new password')).toBe(200)
    expect(await status('nobody', 'new password')).toBe(400)
  })

  test('I23: returns every error as ASCII JSON without quotes and backslashes in its text', async () => {
    const forms = [
      {},
      { ...LOGIN, area: '"\\ü' },
      { ...LOGIN, username: [] },
      { ...LOGIN, password: 'x' },
      `${encodeForm(LOGIN)}&area=x`,
    ]
    for (const form of forms) {
      const reply = await login(service, form)
      const { error_description } = jsonOf(reply)
      expect(error_description).toMatch(/^[\x20-\x7e]+$/)
      expect(error_description).not.toMatch(/["\\]/)
      expect(reply.headers).not.toHaveProperty('www-authenticate')
      expect(reply.status).toBe(400)
    }
  })

  test('I25: returns 413 for a body over the limit', async () => {
    const reply = await login(service, `${encodeForm(LOGIN)}&x=${'x'.repeat(70_000)}`)
    expect(reply.status).toBe(413)
    expect(reply.headers['content-type']).toBe('application/json;charset=UTF-8')
    expect(jsonOf(reply).error).toBe('invalid_request')
    const fits = await login(service, `${encodeForm(LOGIN)}&x=${'x'.repeat(60_000)}`)
    expect(fits.status).toBe(200)
  })

  test("I3: reports a truncated body as the caller's fault", async () => {
    const socket = connect(service.port, '127.0.0.1')
    socket.write(
      `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ngrant`,
    )
    setTimeout(() => socket.destroy(), 50)
    await expect.poll(() => service.log.at(-1)?.reason).toBe('bad_body')
  })

  test('I23: audits the refusal of a caller that disconnects before its password is checked', async () => {
    const body = encodeForm({ ...LOGIN, username: 'nobody' })
    const head = `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}`
    const before = service.log.length
    for (let index = 0; index < 50; index++) {
      const socket = connect(service.port, '127.0.0.1')
      await once(socket, 'connect')
      socket.write(`${head}\r\n\r\n${body}`)
      socket.resetAndDestroy()
    }
    await login(service)
    expect(service.log.slice(before).filter(({ level }) => level === 'error')).toEqual([])
  })

  test('I26: returns 500 without internals when signing fails', async () => {
    const uuid = (): string => {
      throw new Error('entropy pool /dev/secret-path is dry')
    }
    await using broken = await startService({ randomness: { ...systemRandomness, uuid }, configuration: { idscan } })
    const reply = await login(broken, LOGIN, { headers: { 'x-request-id': 'mine' } })
    expect(reply.status).toBe(500)
    expect(jsonOf(reply)).toEqual({ error: 'server_error', error_description: 'Something went wrong.' })
  })

  test('I26: returns 503 with Retry-After at once when too many password checks are waiting', async () => {
    const accounts = [{ username: 'slow', password: hashSync('slow password', { memoryCost: 8_192, timeCost: 2 }) }]
    await using storm = await startService({ configuration: { guard: false, idscan: { accounts } } })
    const attempts = Array.from({ length: 200 }, () =>
      fetch(storm.url + PATH, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'password', username: 'slow', password: 'wrong password' }),
      }),
    )
    const replies = await Promise.all(attempts)
    const refused = replies.filter(({ status }) => status === 503)
    expect(replies.filter(({ status }) => status === 400).length + refused.length).toBe(200)
    expect(refused.length).toBeGreaterThan(50)
    expect(refused[0]?.headers.get('retry-after')).toBe('1')
    expect(await refused[0]?.json()).toMatchObject({ error: 'temporarily_unavailable' })
    expect(storm.log).toContainEqual(expect.objectContaining({ reason: 'overloaded' }))
  })
})

describe('CORS', () => {
  const allowed = 'https://app.example.com'
  const configuration = {
    guard: false as const,
    idscan: { ...idscan, corsOrigins: [allowed, 'http://localhost:3000'] },
  }

  const corsOf = ({ headers }: Reply) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')))

  test('I27: answers a preflight of an allowed origin with 204 and the headers it asks for', async () => {
    await using open = await startService({ configuration })
    const headers = {
      origin: allowed,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type, grant_type',
    }
    const reply = await service.request(PATH, { method: 'OPTIONS', headers })
    expect(corsOf(reply)).toEqual({})
    const preflight = await open.request(PATH, { method: 'OPTIONS', headers })
    expect(preflight).toMatchObject({ status: 204, body: '', headers: { vary: 'Origin' } })
    expect(corsOf(preflight)).toEqual({
      'access-control-allow-origin': allowed,
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'content-type, grant_type',
      'access-control-max-age': '600',
    })
  })

  test('I27: sends CORS headers with every reply to an allowed origin, also errors, never with credentials', async () => {
    await using open = await startService({ configuration })
    const headers = { origin: allowed, grant_type: 'password' }
    const replies = [
      await login(open, LOGIN, { headers }),
      await login(open, { ...LOGIN, password: 'wrong password' }, { headers }),
      await login(open, {}, { headers }),
      await login(open, 'x'.repeat(70_000), { headers }),
      await login(open, '{}', { headers: { ...headers, 'content-type': 'nonsense' } }),
      await open.request(PATH, { headers }),
    ]
    expect(replies.map(({ status }) => status)).toEqual([200, 400, 400, 413, 400, 405])
    for (const reply of replies) expect(corsOf(reply)).toEqual({ 'access-control-allow-origin': allowed })
  })

  test.each([
    'https://evil.example.com',
    'null',
    'https://app.example.com.evil.example',
    'http://app.example.com',
    'https://APP.example.com',
  ])('I27: nothing for the origin %s, its preflight is a bare 204', async (origin) => {
    await using open = await startService({ configuration })
    const preflight = { origin, 'access-control-request-method': 'POST' }
    const replies = [
      await login(open, LOGIN, { headers: { origin } }),
      await open.request(PATH, { method: 'OPTIONS', headers: preflight }),
    ]
    expect(replies.map(({ status }) => status)).toEqual([200, 204])
    for (const reply of replies) expect(corsOf(reply)).toEqual({})
  })

  test('I27: sends no CORS headers from other contracts', async () => {
    await using open = await startService({ configuration })
    const headers = { origin: allowed }
    for (const path of [`/token?${QUERY}`, '/healthz', '/nothing'])
      expect(corsOf(await open.request(path, { headers }))).toEqual({})
  })
})
