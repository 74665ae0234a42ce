import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { SignJWT } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import { IDSCAN_AREAS, type IdscanArea } from '../../../src/core/idscan/account.ts'
import { ACCOUNT, PASSWORD } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import {
  alter,
  checkIdscan,
  claimsIn,
  FOREIGN_KEY,
  forge,
  identityOf,
  introspect,
  issueBws,
  issueIdscan,
  RESOURCE_SERVERS,
  revoke,
  steadyHeaders,
} from '../../support/lifecycle.ts'
import { createToken, OPEN } from '../../support/nevisfido.ts'
import { APP, basic, KEY, type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const OTHER_KEY = 'YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4'
const AWKWARD = 'A&B > C? ~ü "quoted" \\ 100 % 😀 \u2028'

const idscan = {
  accounts: [
    ACCOUNT,
    { ...ACCOUNT, username: 'other' },
    { ...ACCOUNT, username: 'anná ü%', fullName: AWKWARD, role: 'Prüfer', tenant: 'Zürich West' },
    { username: 'bare', password: `plain:${PASSWORD}`, areas: ['scanning' as const] },
  ],
}
const configuration: Partial<ConfigurationInput> = {
  guard: false,
  bws: { apps: [APP] },
  idscan,
  nevisfido: OPEN,
  resourceServers: RESOURCE_SERVERS,
}
const clock = createFrozenClock()
const service = await startService({ clock, configuration })
afterAll(() => service.close())

const DENIED = { status: 401, body: '{"Message":"Authorization has been denied for this request."}' }
const OTHER_AREA = { status: 403, body: '{"Message":"The token is for another area."}' }
const SCANNING = '/authz/idscan/scanning'

/** Expects a 401 for every area. */
async function expectDenied(token: string, at: Service = service): Promise<void> {
  for (const area of IDSCAN_AREAS) expect(await checkIdscan(at, area, token), area).toMatchObject(DENIED)
}

const issue = (at: Service = service, area = 'scanning') => issueIdscan(at, { area })

type HeadersOf = (token: string) => Record<string, string>

describe('the credential', () => {
  const taken: [row: string, what: string, headersOf: HeadersOf][] = [
    ['I28', 'the token alone', (token) => ({ authorization: token })],
    ['I28', 'the token with spaces around it', (token) => ({ authorization: `  ${token}  ` })],
    ['I29', 'Bearer', (token) => ({ authorization: `Bearer ${token}` })],
    ['I29', 'bearer', (token) => ({ authorization: `bearer ${token}` })],
    ['I29', 'BEARER', (token) => ({ authorization: `BEARER ${token}` })],
    ['I28', 'a cookie', (token) => ({ cookie: `token=${token}` })],
    ['I28', 'a cookie among others', (token) => ({ cookie: `a=b; token=${token}; csrftoken=x%2By%3D; c` })],
    ['I28', 'the last of many cookies', (token) => ({ cookie: `csrftoken=x; xtoken=y; tokenx=z; token=${token}` })],
    ['I28', 'a cookie without a space before it', (token) => ({ cookie: `a=b;token=${token};c=d` })],
    ['I28', 'a cookie with spaces before its value', (token) => ({ cookie: `token=  ${token}` })],
    ['I28', 'a cookie with spaces after its value', (token) => ({ cookie: `token=${token}  ; a=b` })],
    ['I28', 'a cookie with spaces everywhere', (token) => ({ cookie: `a=b ;  token = ${token} ; c=d` })],
    ['I28', 'a cookie without a name', (token) => ({ cookie: token })],
    ['I28', 'a cookie without a name, with spaces around it', (token) => ({ cookie: `  ${token}  ` })],
    ['I28', 'a cookie without a name among others', (token) => ({ cookie: `a=b; ${token} ; csrftoken=x` })],
    [
      'I28',
      'a cookie beside Basic of another server',
      (token) => ({ authorization: basic('a', 'b'), cookie: `token=${token}` }),
    ],
    ['I28', 'a cookie beside basic without credentials', (token) => ({ authorization: 'basic x', cookie: token })],
    ['I28', 'the second of two cookies', (token) => ({ cookie: `token=${alter(token)}; token=${token}` })],
    ['I28', 'the first of two cookies', (token) => ({ cookie: `token=${token}; token=${alter(token)}` })],
    ['I28', 'a cookie beside one without a value', (token) => ({ cookie: `token=; token=${token}` })],
    ['I28', 'a cookie without a name beside a stale one', (token) => ({ cookie: `token=stale; ${token}` })],
    ['I28', 'the last of ten cookies', (token) => ({ cookie: `${`token=${alter(token)};`.repeat(9)}token=${token}` })],
    [
      'I28',
      'a cookie among 32 KiB of others',
      (token) => ({ cookie: `a=${'x'.repeat(32_768 - 20 - token.length)}; token=${token}` }),
    ],
    ['I28', 'a cookie beside an empty header', (token) => ({ authorization: '', cookie: `token=${token}` })],
  ]
  test.each(taken)('%s: accepts %s', async (_row, _what, headersOf) => {
    const headers = headersOf(await issue())
    expect(await service.request(SCANNING, { headers })).toMatchObject({ status: 200, body: '' })
  })

  const denied: [row: string, what: string, headersOf: HeadersOf][] = [
    ['I30', 'no credential', () => ({})],
    ['I30', 'an empty header', () => ({ authorization: '' })],
    ['I28', 'the eleventh cookie', (token) => ({ cookie: `${`token=${alter(token)};`.repeat(10)}token=${token}` })],
    [
      'I30',
      'an altered cookie beside Basic',
      (token) => ({ authorization: basic('a', 'b'), cookie: `token=${alter(token)}` }),
    ],
    ['I30', 'an empty cookie', () => ({ cookie: '' })],
    ['I30', 'a cookie without a value', () => ({ cookie: 'token=' })],
    ['I30', 'a cookie of another name', (token) => ({ cookie: `access_token=${token}; xtoken=${token}` })],
    ['I30', 'a cookie that only ends with the token', (token) => ({ cookie: `token=x${token}` })],
    ['I29', 'a scheme alone', () => ({ authorization: 'Bearer' })],
    ['I29', 'two schemes', (token) => ({ authorization: `Bearer Bearer ${token}` })],
    ['I29', 'two tokens', (token) => ({ authorization: `Bearer ${token} ${token}` })],
    ['I28', 'two tokens without a scheme', (token) => ({ authorization: `${token} ${token}` })],
    ['I28', 'a list', (token) => ({ authorization: `${token}, ${token}` })],
    ['I29', 'another scheme', (token) => ({ authorization: `JWT ${token}` })],
    ['I29', 'Basic and the token', (token) => ({ authorization: `Basic ${token}` })],
    ['I29', 'Basic of account and password', () => ({ authorization: basic('psc', PASSWORD) })],
    ['I30', 'text that is not a token', () => ({ authorization: 'abc' })],
    ['I30', 'a header of another name', (token) => ({ 'x-authorization': token })],
  ]
  test.each(denied)('%s: returns 401 for %s', async (_row, _what, headersOf) => {
    const headers = headersOf(await issue())
    for (const area of IDSCAN_AREAS) {
      expect(await service.request(`/authz/idscan/${area}`, { headers }), area).toMatchObject(DENIED)
    }
  })

  test('I28: prefers the header to the cookie when both are valid', async () => {
    const [mine, other] = [await issue(), await issueIdscan(service, { username: 'other', area: 'investigation' })]
    const headers = { authorization: mine, cookie: `token=${other}` }
    const reply = await service.request(SCANNING, { headers })
    expect(identityOf(reply)).toMatchObject({ 'token-id': claimsIn(mine).jti, subject: 'psc', area: 'scanning' })
    expect(await service.request('/authz/idscan/investigation', { headers })).toMatchObject(OTHER_AREA)
  })

  const bad: [what: string, headerOf: (token: string) => string][] = [
    ['text that is not a token', () => 'abc'],
    ['an altered token', (token) => alter(token)],
    ['another scheme', (token) => `Digest ${token}`],
    ['a scheme that begins like Basic', (token) => `Basically ${token}`],
    ['a scheme alone', () => 'Bearer'],
  ]
  test.each(bad)('I28: prefers the header to a valid cookie also when the header is %s', async (_what, headerOf) => {
    const token = await issue()
    const headers = { authorization: headerOf(token), cookie: `token=${token}` }
    expect(await service.request(SCANNING, { headers })).toMatchObject(DENIED)
  })

  test('I28: ignores an invalid cookie beside a valid header', async () => {
    const token = await issue()
    const headers = { authorization: `Bearer ${token}`, cookie: `token=${alter(token)}` }
    expect((await service.request(SCANNING, { headers })).status).toBe(200)
  })

  test('I28, I31: accepts the one of several cookies that is for the area, and otherwise names the one that was signed', async () => {
    const [scanning, investigation] = [await issue(), await issue(service, 'investigation')]
    const cookie = `token=${scanning}; token=${investigation}`
    for (const [area, token] of [
      ['scanning', scanning],
      ['investigation', investigation],
    ]) {
      const reply = await service.request(`/authz/idscan/${area}`, { headers: { cookie } })
      expect(identityOf(reply)).toMatchObject({ 'token-id': claimsIn(token ?? '').jti, area })
    }
    const other = { cookie: `token=stale; token=${investigation}` }
    expect(await service.request(SCANNING, { headers: other })).toMatchObject(OTHER_AREA)
    const { jti: tokenId, sub: account } = claimsIn(investigation)
    expect(service.log.at(-1)).toMatchObject({ reason: 'wrong_area', tokenId, account })
  })

  test('I30: ignores the query', async () => {
    const token = await issue()
    expect(await service.request(`${SCANNING}?access_token=${token}&token=${token}`)).toMatchObject(DENIED)
    // Envoy appends the original target to its configured path.
    for (const query of ['token=x&%zz', '/original/path?x=1']) {
      const reply = await service.request(`${SCANNING}?${query}`, { headers: { authorization: token } })
      expect(reply.status, query).toBe(200)
    }
  })
})

describe('the area', () => {
  const matrix = [...IDSCAN_AREAS, ''].flatMap((area) =>
    IDSCAN_AREAS.map((asked) => ({ area, asked, status: area === asked ? 200 : 403, name: area || 'no area' })),
  )
  test.each(matrix)('I31: returns $status for a token for $name at $asked', async ({ area, asked, status }) => {
    const reply = await checkIdscan(service, asked, await issue(service, area))
    expect(reply).toMatchObject(status === 200 ? { status, body: '' } : OTHER_AREA)
  })

  test('I31: returns 403 as JSON of the vendor, without a challenge and without identity', async () => {
    const reply = await checkIdscan(service, 'investigation', await issue())
    expect(reply).toMatchObject(OTHER_AREA)
    expect(steadyHeaders(reply)).toEqual({
      'cache-control': 'no-store',
      'content-type': 'application/json;charset=UTF-8',
      'content-length': String(OTHER_AREA.body.length),
    })
  })

  test('I31: returns 401, not 403, for an invalid token of another area', async () => {
    expect(await checkIdscan(service, 'investigation', alter(await issue()))).toMatchObject(DENIED)
  })

  test('I31: accepts a token any number of times', async () => {
    const token = await issue()
    for (let count = 0; count < 30; count++) {
      expect((await checkIdscan(service, 'scanning', token)).status).toBe(200)
    }
  })
})

describe('the lifetime', () => {
  test.each([
    [35_999, 200],
    [36_001, 401],
  ])('I32: %i s after the issue, returns %i', async (seconds, status) => {
    const moving = createFrozenClock()
    await using other = await startService({ clock: moving, configuration })
    const token = await issue(other)
    moving.advance(seconds * 1000)
    expect((await checkIdscan(other, 'scanning', token)).status).toBe(status)
    if (status === 401) await expectDenied(token, other)
  })

  test.each([
    ['just before exp', 'exp', -1, 200],
    ['exactly at exp', 'exp', 0, 401],
    ['exactly at nbf', 'nbf', 0, 200],
    ['just before nbf', 'nbf', -1, 401],
    ['an hour before nbf', 'nbf', -3_600_000, 401],
  ])('I32: gives no leeway %s', async (_when, claim, offset, status) => {
    const moving = createFrozenClock()
    await using other = await startService({ clock: moving, configuration })
    const token = await issue(other)
    moving.set(Number(claimsIn(token)[claim]) * 1000 + offset)
    expect((await checkIdscan(other, 'scanning', token)).status).toBe(status)
    if (status === 401) await expectDenied(token, other)
  })

  test('I32: uses the configured lifetime', async () => {
    const moving = createFrozenClock()
    const short = { ...configuration, idscan: { ...idscan, lifetime: '30s' } }
    await using other = await startService({ clock: moving, configuration: short })
    const token = await issue(other)
    moving.advance(29_000)
    expect((await checkIdscan(other, 'scanning', token)).status).toBe(200)
    moving.advance(1_000)
    await expectDenied(token, other)
  })
})

describe('a forged token', () => {
  test("I30: accepts a token that this test signs with the service's key", async () => {
    expect((await checkIdscan(service, 'scanning', forge(claimsIn(await issue())))).status).toBe(200)
  })

  test.each(['header', 'payload', 'signature'])('I30: returns 401 for a change anywhere in the %s', async (segment) => {
    const token = await issue()
    const [header = '', payload = '', signature = ''] = token.split('.')
    const starts = { header: 0, payload: header.length + 1, signature: header.length + payload.length + 2 }
    const start = starts[segment as keyof typeof starts]
    const { length } = { header, payload, signature }[segment] ?? ''
    for (const at of [0, 1, length >> 1, length - 2, length - 1]) await expectDenied(alter(token, start + at))
  })

  const changes: [
    what: string,
    change: (token: string, claims: Record<string, unknown>) => string | Promise<string>,
  ][] = [
    ['no signature', (token) => `${token.split('.').slice(0, 2).join('.')}.`],
    ['two segments', (token) => token.split('.').slice(0, 2).join('.')],
    ['four segments', (token) => `${token}.x`],
    ['padding', (token) => `${token}=`],
    [
      'the signature of another token',
      async (token) => {
        const other = await issue()
        return [...token.split('.').slice(0, 2), other.split('.')[2]].join('.')
      },
    ],
    [
      'alg none, unsigned',
      (_token, claims) => forge(claims, { header: { alg: 'none', typ: 'JWT' } }).replace(/[^.]+$/, ''),
    ],
    ['alg none, signed', (_token, claims) => forge(claims, { header: { alg: 'none', typ: 'JWT' } })],
    ['alg HS384', (_token, claims) => forge(claims, { header: { alg: 'HS384', typ: 'JWT' }, hash: 'sha384' })],
    ['alg RS256 over our signature', (_token, claims) => forge(claims, { header: { alg: 'RS256', typ: 'JWT' } })],
    [
      'alg RS256 by jose',
      (_token, claims) => {
        const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
        return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', typ: 'JWT' }).sign(privateKey)
      },
    ],
    [
      'a header that names a key',
      (_token, claims) => forge(claims, { header: { alg: 'HS256', typ: 'JWT', kid: 'key-1' } }),
    ],
    ['a foreign key', (_token, claims) => forge(claims, { key: FOREIGN_KEY })],
    ['the text of our key as key', (_token, claims) => forge(claims, { key: Buffer.from(KEY).toString('base64url') })],
    ['another audience', (_token, claims) => forge({ ...claims, aud: 'https://other.example.com' })],
    ['our audience without its path', (_token, claims) => forge({ ...claims, aud: 'https://tokens.example.com' })],
    ['another issuer', (_token, claims) => forge({ ...claims, iss: 'https://other.example.com' })],
    ['no audience', (_token, { aud: _aud, ...claims }) => forge(claims)],
    ['no issuer', (_token, { iss: _iss, ...claims }) => forge(claims)],
    ['no exp', (_token, { exp: _exp, ...claims }) => forge(claims)],
    ['an exp that is not a number', (_token, claims) => forge({ ...claims, exp: '9999999999' })],
    ['no nbf', (_token, { nbf: _nbf, ...claims }) => forge(claims)],
    ['no jti', (_token, { jti: _jti, ...claims }) => forge(claims)],
    ['no sub', (_token, { sub: _sub, ...claims }) => forge(claims)],
    ['an account that is not configured', (_token, claims) => forge({ ...claims, sub: 'nobody' })],
    ['an account that every object has as a property', (_token, claims) => forge({ ...claims, sub: '__proto__' })],
    ['no claims', () => forge({})],
  ]
  test.each(changes)('I30: returns 401 for %s', async (_what, change) => {
    const token = await issue()
    await expectDenied(await change(token, claimsIn(token)))
    expect((await checkIdscan(service, 'scanning', token)).status).toBe(200)
  })

  test('I30: returns 401 for a BWS token, also with the issuer and audience of IDscan', async () => {
    const token = await issueBws(service)
    await expectDenied(token)
    const publicUrl = 'https://tokens.example.com/some/path'
    await expectDenied(forge({ ...claimsIn(token), iss: publicUrl, aud: publicUrl }))
  })

  test('I30: returns 401 for a nevisFIDO token and its session', async () => {
    const { token, sessionId } = await createToken(service, 'registration')
    await expectDenied(token)
    await expectDenied(sessionId)
  })

  test('I30: verifies with every live key, until its notAfter', async () => {
    trackSecret(OTHER_KEY)
    const moving = createFrozenClock(Date.UTC(2026, 0, 1) - 1)
    const keys = [{ secret: KEY }, { secret: OTHER_KEY, notAfter: '2026-01-01' }]
    await using rotating = await startService({ clock: moving, configuration: { ...configuration, keys } })
    const token = forge(claimsIn(await issue(rotating)), { key: OTHER_KEY })
    expect((await checkIdscan(rotating, 'scanning', token)).status).toBe(200)
    moving.advance(1)
    await expectDenied(token, rotating)
  })
})

describe('the account', () => {
  test.each([
    ['disabled', [{ ...ACCOUNT, disabled: true }]],
    ['removed', [{ ...ACCOUNT, username: 'another' }]],
    ['renamed in case', [{ ...ACCOUNT, username: 'PSC' }]],
  ])('I30: returns 401 for tokens of an account that was %s', async (_what, accounts) => {
    await using changed = await startService({ clock, configuration: { ...configuration, idscan: { accounts } } })
    await expectDenied(await issue(), changed)
  })

  test('I30: accepts the token of a login in another case where case is folded', async () => {
    const folding = { ...idscan, usernameCase: 'insensitive' as const }
    await using other = await startService({ clock, configuration: { ...configuration, idscan: folding } })
    const reply = await checkIdscan(other, 'scanning', await issueIdscan(other, { username: 'PSC' }))
    expect(reply.status).toBe(200)
    expect(identityOf(reply)).toMatchObject({ subject: 'psc' })
  })
})

describe('a revoked token', () => {
  test.each(IDSCAN_AREAS)(
    'I30: returns 401 for a revoked token for %s at once, and accepts other tokens',
    async (area) => {
      const [token, other] = [await issue(service, area), await issue(service, area)]
      expect((await checkIdscan(service, area, token)).status).toBe(200)
      expect(await revoke(service, token)).toMatchObject({ status: 200, body: '' })
      await expectDenied(token)
      expect((await checkIdscan(service, area, other)).status).toBe(200)
    },
  )

  test('I30: revokes nothing for an altered token', async () => {
    const token = await issue()
    expect(await revoke(service, alter(token))).toMatchObject({ status: 200, body: '' })
    expect(await revoke(service, forge(claimsIn(token), { key: FOREIGN_KEY }))).toMatchObject({ status: 200 })
    expect((await checkIdscan(service, 'scanning', token)).status).toBe(200)
  })
})

describe('the idle time-out', () => {
  /** Fifteen minutes by default. Other processes know the last use to within a tenth of that. */
  const WITHIN = 13 * 60_000
  const BEYOND = 17 * 60_000
  const enforced = { ...configuration, idscan: { ...idscan, enforceIdleTimeout: true } }

  async function withIdleTimeout(use: (at: Service, moving: ReturnType<typeof createFrozenClock>) => Promise<void>) {
    const moving = createFrozenClock()
    await using other = await startService({ clock: moving, configuration: enforced })
    await use(other, moving)
  }

  const statusOf = async (at: Service, token: string, area: IdscanArea = 'scanning') =>
    (await checkIdscan(at, area, token)).status

  test('I33: does not enforce the idle time-out by default', async () => {
    const moving = createFrozenClock()
    await using other = await startService({ clock: moving, configuration })
    const token = await issue(other)
    expect(await statusOf(other, token)).toBe(200)
    moving.advance(9 * 3_600_000)
    expect(await statusOf(other, token)).toBe(200)
  })

  test('I33: counts idle time from the login where it is enforced', () =>
    withIdleTimeout(async (at, moving) => {
      const [used, unused] = [await issue(at), await issue(at)]
      moving.advance(WITHIN)
      expect(await statusOf(at, used)).toBe(200)
      moving.advance(BEYOND - WITHIN)
      await expectDenied(unused, at)
      expect(await statusOf(at, used)).toBe(200)
    }))

  test('I33: rejects a token for good after it was idle for too long', () =>
    withIdleTimeout(async (at, moving) => {
      const token = await issue(at)
      expect(await statusOf(at, token)).toBe(200)
      moving.advance(BEYOND)
      await expectDenied(token, at)
      await expectDenied(token, at)
      moving.advance(1_000)
      await expectDenied(token, at)
    }))

  test('I33: restarts the idle time with every use, until the token expires', () =>
    withIdleTimeout(async (at, moving) => {
      const token = await issue(at)
      for (let passed = WITHIN; passed < 36_000_000; passed += WITHIN) {
        moving.advance(WITHIN)
        expect(await statusOf(at, token), `after ${passed} ms`).toBe(200)
      }
      moving.advance(WITHIN)
      await expectDenied(token, at)
    }))

  test.each([1, 10, 80])('I33: counts uses that are %i s apart', (seconds) =>
    withIdleTimeout(async (at, moving) => {
      const token = await issue(at)
      for (let passed = 0; passed < 2 * BEYOND; passed += seconds * 1000) {
        moving.advance(seconds * 1000)
        expect(await statusOf(at, token)).toBe(200)
      }
      moving.advance(WITHIN)
      expect(await statusOf(at, token)).toBe(200)
      moving.advance(BEYOND)
      await expectDenied(token, at)
    }),
  )

  test('I33: keeps a use that follows the previous one within a tenth of the time-out', () =>
    withIdleTimeout(async (at, moving) => {
      const token = await issue(at)
      expect(await statusOf(at, token)).toBe(200)
      moving.advance(89_000)
      expect(await statusOf(at, token)).toBe(200)
      moving.advance(14 * 60_000)
      expect(await statusOf(at, token)).toBe(200)
    }))

  test('I33: does not count a refusal as a use', () =>
    withIdleTimeout(async (at, moving) => {
      const token = await issue(at)
      moving.advance(WITHIN)
      expect(await statusOf(at, token, 'investigation')).toBe(403)
      expect(await statusOf(at, alter(token))).toBe(401)
      moving.advance(BEYOND - WITHIN)
      await expectDenied(token, at)
    }))

  test('I33: does not count an introspection as a use', () =>
    withIdleTimeout(async (at, moving) => {
      const token = await issue(at)
      moving.advance(WITHIN)
      expect(JSON.parse((await introspect(at, token)).body)).toMatchObject({ active: true })
      moving.advance(BEYOND - WITHIN)
      await expectDenied(token, at)
    }))

  test('I33: introspects an idle token as inactive', () =>
    withIdleTimeout(async (at, moving) => {
      const token = await issue(at)
      moving.advance(BEYOND)
      expect(await introspect(at, token)).toMatchObject({ status: 200, body: '{"active":false}' })
    }))

  test('I33: tracks the idle time of each token separately', () =>
    withIdleTimeout(async (at, moving) => {
      const [used, unused] = [await issue(at), await issue(at)]
      for (const token of [used, unused]) expect(await statusOf(at, token)).toBe(200)
      moving.advance(WITHIN)
      expect(await statusOf(at, used)).toBe(200)
      moving.advance(WITHIN)
      expect(await statusOf(at, used)).toBe(200)
      await expectDenied(unused, at)
    }))

  test('I33: counts a use at one process in the others once it is written', async () => {
    const moving = createFrozenClock()
    await using first = await startService({ clock: moving, configuration: enforced })
    await using second = await startService({ clock: moving, configuration: enforced, stores: first.stores })
    const [used, unused] = [await issue(first), await issue(first)]
    moving.advance(WITHIN)
    expect(await statusOf(first, used)).toBe(200)
    const written = () => first.stores.uses.lastUse(String(claimsIn(used).jti))
    await expect.poll(written).toBe(moving())
    moving.advance(WITHIN)
    expect(await statusOf(second, used)).toBe(200)
    await expectDenied(unused, second)
    await expect.poll(written).toBe(moving())
    moving.advance(BEYOND)
    for (const at of [first, second]) await expectDenied(used, at)
  })

  test('I33: writes all uses when a process shuts down', async () => {
    const moving = createFrozenClock()
    await using second = await startService({ clock: moving, configuration: enforced })
    const first = await startService({ clock: moving, configuration: enforced, stores: second.stores })
    const token = await issue(first)
    moving.advance(80_000)
    expect(await statusOf(first, token)).toBe(200)
    await first.close()
    moving.advance(14 * 60_000)
    expect(await statusOf(second, token)).toBe(200)
  })

  test('I33: uses the configured idle time-out', async () => {
    const moving = createFrozenClock()
    const hours = { ...idscan, enforceIdleTimeout: true, idleTimeout: '2h' }
    await using other = await startService({ clock: moving, configuration: { ...configuration, idscan: hours } })
    const [first, second] = [await issue(other), await issue(other)]
    moving.advance(100 * 60_000)
    expect(await statusOf(other, first)).toBe(200)
    moving.advance(40 * 60_000)
    expect(await statusOf(other, first)).toBe(200)
    await expectDenied(second, other)
  })
})

describe('several processes with one store', () => {
  test('I30: shares revocations between processes within a second', async () => {
    const moving = createFrozenClock()
    await using first = await startService({ clock: moving, configuration })
    await using second = await startService({ clock: moving, configuration, stores: first.stores })
    const token = await issue(first)
    expect((await checkIdscan(second, 'scanning', token)).status).toBe(200)
    await revoke(first, token)
    moving.advance(1_000)
    await expectDenied(token, second)
  })
})

describe('while the store is unavailable', () => {
  test('I30: returns 503 for valid tokens when revocation data is older than a second', async () => {
    const moving = createFrozenClock()
    await using healthy = await startService({ clock: moving, configuration })
    const { revocations } = healthy.stores
    let since = revocations.since
    const stores = { revocations: { ...revocations, since: (cursor: string | undefined) => since(cursor) } }
    await using breaking = await startService({ clock: moving, configuration, stores })
    const token = await issue(breaking)
    since = async () => {
      throw new Error('the store is away')
    }
    moving.advance(999)
    expect((await checkIdscan(breaking, 'scanning', token)).status).toBe(200)
    moving.advance(1)
    expect(await checkIdscan(breaking, 'scanning', token)).toMatchObject({
      status: 503,
      body: '{"Message":"Temporarily unavailable. Try again later."}',
      headers: { 'retry-after': '1', 'cache-control': 'no-store', 'content-type': 'application/json;charset=UTF-8' },
    })
    await expectDenied(alter(token), breaking)
    since = revocations.since
    expect((await checkIdscan(breaking, 'scanning', token)).status).toBe(200)
  })
})

describe('the reply', () => {
  test('I30: returns exactly this 401', async () => {
    for (const area of IDSCAN_AREAS) {
      const reply = await service.request(`/authz/idscan/${area}`)
      expect(reply).toMatchObject(DENIED)
      expect(reply.headers['x-request-id']).toMatch(/./)
      expect(steadyHeaders(reply)).toEqual({
        'www-authenticate': 'Bearer',
        'cache-control': 'no-store',
        'content-type': 'application/json;charset=UTF-8',
        'content-length': String(DENIED.body.length),
      })
    }
  })

  test('I28: returns exactly this 200: no body, the identity in headers', async () => {
    const token = await issue()
    const reply = await checkIdscan(service, 'scanning', token, { headers: { 'x-request-id': 'given' } })
    expect(reply).toMatchObject({ status: 200, body: '', headers: { 'x-request-id': 'given' } })
    expect(steadyHeaders(reply)).toEqual({
      'cache-control': 'no-store',
      'content-length': '0',
      'x-trimint-token-id': claimsIn(token).jti,
      'x-trimint-subject': 'psc',
      'x-trimint-name': 'PSC',
      'x-trimint-role': 'SuperAdministrator',
      'x-trimint-area': 'scanning',
      'x-trimint-tenant': 'IDscan',
    })
  })

  test('I28: sends no header for a property that the account lacks', async () => {
    const token = await issueIdscan(service, { username: 'bare' })
    const identity = identityOf(await checkIdscan(service, 'scanning', token))
    expect(identity).toEqual({ 'token-id': claimsIn(token).jti, subject: 'bare', area: 'scanning' })
  })

  test('I28: encodes the names of the account in headers', async () => {
    const token = await issueIdscan(service, { username: 'anná ü%' })
    const identity = identityOf(await checkIdscan(service, 'scanning', token))
    expect(identity).toMatchObject({
      subject: 'ann%C3%A1%20%C3%BC%25',
      role: 'Pr%C3%BCfer',
      tenant: 'Z%C3%BCrich%20West',
    })
    expect(identity.name).toMatch(/^[!-~]+$/)
    expect(decodeURIComponent(String(identity.name))).toBe(AWKWARD)
  })

  test('I30, I31: sends no identity headers with a refusal', async () => {
    const token = await issue()
    expect(identityOf(await checkIdscan(service, 'investigation', token))).toEqual({})
    expect(identityOf(await checkIdscan(service, 'scanning', alter(token)))).toEqual({})
  })

  test('I28: sets no cookie', async () => {
    expect(await checkIdscan(service, 'scanning', await issue())).not.toHaveProperty('headers.set-cookie')
  })
})

describe('the original request', () => {
  const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY']

  test.each(METHODS)('I28: answers %s as any other method', async (method) => {
    const token = await issue()
    expect(await checkIdscan(service, 'scanning', token, { method })).toMatchObject({ status: 200, body: '' })
    expect((await checkIdscan(service, 'investigation', token, { method })).status).toBe(403)
    const denied = await service.request(SCANNING, { method })
    expect(denied).toMatchObject({ ...DENIED, ...(method === 'HEAD' ? { body: '' } : {}) })
    expect(denied.headers['www-authenticate']).toBe('Bearer')
  })

  test.each([
    ['application/json', '{b'],
    ['application/json', ''],
    ['application/x-www-form-urlencoded', 'token=x'],
    ['multipart/form-data', 'x'],
    [';;;', 'x'],
    ['application/octet-stream', 'x'.repeat(70_000)],
  ])('I28: ignores a body of %s', async (contentType, body) => {
    const options = { method: 'POST', headers: { 'content-type': contentType }, body }
    expect((await checkIdscan(service, 'scanning', await issue(), options)).status).toBe(200)
    expect(await checkIdscan(service, 'scanning', 'abc', options)).toMatchObject(DENIED)
  })

  test('I28: does not wait for the body', async () => {
    const token = await issue()
    const socket = connect(service.port, '127.0.0.1')
    const head = `POST ${SCANNING} HTTP/1.1\r\nHost: x\r\nCookie: token=${token}`
    socket.write(`${head}\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n`)
    const [chunk] = await once(socket, 'data')
    socket.destroy()
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 200 /)
  })

  test.each([
    '/authz/idscan',
    '/authz/idscan/',
    '/authz/idscan/nothing',
    '/authz/idscan/Scanning',
    '/authz/idscan/upload',
    '/authz/idscan/scanning/x',
    '/authz/idscan/__proto__',
    '/authz/idscan/constructor',
  ])('I31: returns a plain 404 at %s, with and without a token', async (path) => {
    const headers = { authorization: await issue() }
    for (const options of [{}, { headers }, { headers, method: 'POST', body: '{b' }]) {
      expect(await service.request(path, options)).toMatchObject({
        status: 404,
        body: '{"error":"not_found","error_description":"There is nothing at this path."}',
        headers: { 'cache-control': 'no-store' },
      })
    }
  })

  test('I31: returns 404 when the contract is switched off', async () => {
    await using off = await startService({ clock, configuration: { ...configuration, idscan: false } })
    const token = await issue()
    for (const area of IDSCAN_AREAS) expect((await checkIdscan(off, area, token)).status).toBe(404)
  })
})

test('I30: logs neither tokens nor what was sent in their place', async () => {
  const marker = 'marker-of-a-cookie-that-no-log-may-hold'
  trackSecret(marker)
  await using other = await startService({ clock, configuration })
  const token = await issue(other)
  for (const area of IDSCAN_AREAS) await checkIdscan(other, area, token)
  await other.request(SCANNING, { headers: { cookie: `token=${token}` } })
  await expectDenied(alter(token), other)
  await revoke(other, token)
  await expectDenied(token, other)
  const placed = [
    { headers: { authorization: marker } },
    { headers: { authorization: `Bearer ${marker}` } },
    { headers: { cookie: `token=${marker}` } },
    { headers: { cookie: marker } },
    { method: 'POST', body: marker },
  ]
  for (const options of placed) await other.request(`${SCANNING}?x=${marker}`, options)
  await other.request(`/authz/idscan/${marker}`)
  const written = JSON.stringify(other.log)
  expect(written).not.toContain(marker)
  expect(written).not.toContain(token.split('.')[1])
  expect(written).not.toContain(token.split('.')[2])
})
