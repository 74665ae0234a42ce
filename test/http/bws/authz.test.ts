import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { SignJWT } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import { BWS_TASKS } from '../../../src/core/bws/task.ts'
import { BCID } from '../../support/bws.ts'
import { ACCOUNT } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import {
  alter,
  type BwsOperation,
  checkBws,
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
import { APP, APP_SECRET, basic, KEY, type Reply, type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const OPERATIONS: BwsOperation[] = ['upload', ...BWS_TASKS]
const AWKWARD = 'A&B > C? ~ü "quoted" \\ 100 % 😀 \u2028'
const OTHER_KEY = 'YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4'

const configuration: Partial<ConfigurationInput> = {
  guard: false,
  bws: {
    apps: [
      APP,
      { ...APP, id: 'umlaut', client: 'PSC ü%' },
      { ...APP, id: 'odd é%', client: AWKWARD },
      { id: 'bare', secret: APP.secret, bcids: '*' },
    ],
  },
  idscan: { accounts: [ACCOUNT] },
  nevisfido: OPEN,
  resourceServers: RESOURCE_SERVERS,
}
const clock = createFrozenClock()
const service = await startService({ clock, configuration })
afterAll(() => service.close())

const UNAUTHORIZED = { status: 401, body: '{"Message":"Unauthorized"}' }
const OTHER_TASK = { status: 403, body: '{"Message":"The token is for another task."}' }
const USED_UP = { status: 403, body: '{"Message":"The tries of the token are used up."}' }

/** Expects a 401 at every operation. */
async function expectUnauthorized(token: string, at: Service = service): Promise<void> {
  for (const operation of OPERATIONS)
    expect(await checkBws(at, operation, token), operation).toMatchObject(UNAUTHORIZED)
}

const triesLeft = (reply: Reply) => reply.headers['x-trimint-tries-left']

describe('the credential', () => {
  test.each(['Bearer', 'bearer', 'BEARER', 'JWT', 'jwt', 'Jwt'])('B32: accepts %s and the token', async (scheme) => {
    const authorization = `${scheme} ${await issueBws(service)}`
    for (const operation of ['upload', 'verify'] as const) {
      expect((await service.request(`/authz/bws/${operation}`, { headers: { authorization } })).status).toBe(200)
    }
  })

  const refused: [what: string, headersOf: (token: string) => Record<string, string>][] = [
    ['no header', () => ({})],
    ['an empty header', () => ({ authorization: '' })],
    ['the token alone', (token) => ({ authorization: token })],
    ['a scheme alone', () => ({ authorization: 'Bearer' })],
    ['a scheme and a space', () => ({ authorization: 'JWT ' })],
    ['a scheme without a space before the token', (token) => ({ authorization: `Bearer${token}` })],
    ['two schemes', (token) => ({ authorization: `Bearer JWT ${token}` })],
    ['two tokens', (token) => ({ authorization: `Bearer ${token} ${token}` })],
    ['a list', (token) => ({ authorization: `Bearer ${token}, Bearer ${token}` })],
    ['text after the token', (token) => ({ authorization: `Bearer ${token};x` })],
    ['a token in quotes', (token) => ({ authorization: `Bearer "${token}"` })],
    ['Basic and the token', (token) => ({ authorization: `Basic ${token}` })],
    ['Basic of the token', (token) => ({ authorization: basic(APP.id, token) })],
    ['Basic of app and secret', () => ({ authorization: basic(APP.id, APP_SECRET) })],
    ['another scheme', (token) => ({ authorization: `Token ${token}` })],
    ['text that is not a token', () => ({ authorization: 'Bearer abc' })],
    ['a cookie', (token) => ({ cookie: `token=${token}` })],
    ['a header of another name', (token) => ({ 'x-authorization': `Bearer ${token}` })],
  ]
  test.each(refused)('B32: returns 401 for %s', async (_what, headersOf) => {
    const headers = headersOf(await issueBws(service))
    for (const operation of OPERATIONS) {
      expect(await service.request(`/authz/bws/${operation}`, { headers }), operation).toMatchObject(UNAUTHORIZED)
    }
  })

  test('B32: ignores the query', async () => {
    const token = await issueBws(service)
    expect(await service.request(`/authz/bws/verify?access_token=${token}&token=${token}`)).toMatchObject(UNAUTHORIZED)
    const headers = { authorization: `Bearer ${token}` }
    // Envoy appends the original target to its configured path.
    for (const query of ['token=other&%zz', '/original/path?x=1']) {
      expect((await service.request(`/authz/bws/verify?${query}`, { headers })).status, query).toBe(200)
    }
  })
})

describe('the task', () => {
  const matrix = BWS_TASKS.flatMap((task) => OPERATIONS.map((operation) => ({ task, operation })))
  test.each(matrix)('B33: checks a token for $task at $operation', async ({ task, operation }) => {
    const reply = await checkBws(service, operation, await issueBws(service, `task=${task}`))
    if (operation === 'upload' || operation === task) expect(reply).toMatchObject({ status: 200, body: '' })
    else expect(reply).toMatchObject(OTHER_TASK)
  })

  test.each([
    ['livedetection=false', 'verify'],
    ['challenge=true', 'verify'],
    ['autoenroll=true', 'verify'],
    ['maxtries=15&challenge=true&autoenroll=true', 'verify'],
    ['task=enroll&challenge=true', 'enroll'],
    ['task=identify&livedetection=false', 'identify'],
    ['task=livenessdetection&challenge=true', 'livenessdetection'],
  ] as const)('B33: treats a token issued with %s as a token for %s only', async (query, task) => {
    const token = await issueBws(service, query)
    for (const operation of OPERATIONS) {
      const { status } = await checkBws(service, operation, token)
      expect(status, operation).toBe(operation === 'upload' || operation === task ? 200 : 403)
    }
  })

  test('B33: returns 403 as JSON of the vendor, without a challenge', async () => {
    const reply = await checkBws(service, 'enroll', await issueBws(service))
    expect(reply).toMatchObject(OTHER_TASK)
    expect(steadyHeaders(reply)).toEqual({
      'cache-control': 'no-store',
      'content-type': 'application/json; charset=utf-8',
      'content-length': String(OTHER_TASK.body.length),
    })
  })

  test('B33: returns 401, not 403, for an invalid token of another task', async () => {
    expect(await checkBws(service, 'enroll', alter(await issueBws(service)))).toMatchObject(UNAUTHORIZED)
  })
})

describe('the tries', () => {
  test.each([1, 3, 15])('B35: accepts a token with maxtries=%i that often, then returns 403', async (maxtries) => {
    const token = await issueBws(service, `maxtries=${maxtries}`)
    for (let left = maxtries - 1; left >= 0; left--) {
      const reply = await checkBws(service, 'verify', token)
      expect(reply.status).toBe(200)
      expect(triesLeft(reply)).toBe(String(left))
    }
    for (let count = 0; count < 3; count++) expect(await checkBws(service, 'verify', token)).toMatchObject(USED_UP)
  })

  test.each(BWS_TASKS)('B35: allows three tries by default for %s', async (task) => {
    const token = await issueBws(service, `task=${task}`)
    const statuses: number[] = []
    for (let count = 0; count < 5; count++) statuses.push((await checkBws(service, task, token)).status)
    expect(statuses).toEqual([200, 200, 200, 403, 403])
  })

  test.each(BWS_TASKS)('B35: consumes no try for an upload with a token for %s', async (task) => {
    const token = await issueBws(service, `task=${task}&maxtries=2`)
    for (let count = 0; count < 20; count++) {
      const reply = await checkBws(service, 'upload', token)
      expect(reply.status).toBe(200)
      expect(reply.headers).not.toHaveProperty('x-trimint-tries-left')
    }
    expect(triesLeft(await checkBws(service, task, token))).toBe('1')
    expect(triesLeft(await checkBws(service, task, token))).toBe('0')
    expect(await checkBws(service, task, token)).toMatchObject(USED_UP)
    expect((await checkBws(service, 'upload', token)).status).toBe(200)
  })

  test('B35: consumes no try for a wrong task, and reports the wrong task also after the last try', async () => {
    const token = await issueBws(service, 'maxtries=1')
    for (const task of BWS_TASKS.filter((other) => other !== 'verify')) {
      expect(await checkBws(service, task, token)).toMatchObject(OTHER_TASK)
    }
    expect(triesLeft(await checkBws(service, 'verify', token))).toBe('0')
    expect(await checkBws(service, 'enroll', token)).toMatchObject(OTHER_TASK)
  })

  test('B35: consumes no try for an unknown operation, a refusal or an introspection', async () => {
    const token = await issueBws(service, 'maxtries=1')
    await checkBws(service, 'nothing' as BwsOperation, token)
    await service.request('/authz/bws/verify', { headers: { authorization: token } })
    await checkBws(service, 'verify', alter(token))
    for (let count = 0; count < 5; count++) await introspect(service, token)
    expect(triesLeft(await checkBws(service, 'verify', token))).toBe('0')
  })

  test('B35: counts the tries of each token separately', async () => {
    const [first, second] = [await issueBws(service, 'maxtries=1'), await issueBws(service, 'maxtries=1')]
    expect((await checkBws(service, 'verify', first)).status).toBe(200)
    expect((await checkBws(service, 'verify', second)).status).toBe(200)
    expect(await checkBws(service, 'verify', first)).toMatchObject(USED_UP)
  })

  test('B35: accepts fifteen of forty concurrent checks of a token with fifteen tries, each with another number left', async () => {
    const token = await issueBws(service, 'maxtries=15')
    const headers = { authorization: `JWT ${token}` }
    const attempts = Array.from({ length: 40 }, () => fetch(`${service.url}/authz/bws/verify`, { headers }))
    const replies = await Promise.all(attempts)
    const passed = replies.filter(({ status }) => status === 200)
    expect(replies.filter(({ status }) => status === 403)).toHaveLength(25)
    const left = passed.map((reply) => Number(reply.headers.get('x-trimint-tries-left')))
    expect(left.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, index) => index))
  })

  test('B35: still counts the tries just before the token expires', async () => {
    const moving = createFrozenClock()
    await using other = await startService({ clock: moving, configuration })
    const token = await issueBws(other, 'maxtries=1')
    await checkBws(other, 'verify', token)
    moving.advance(599_000)
    expect(await checkBws(other, 'verify', token)).toMatchObject(USED_UP)
  })
})

describe('the lifetime', () => {
  test.each([
    ['accepts a token just before exp', -1, 200],
    ['rejects a token exactly at exp', 0, 401],
    ['rejects a token one second after exp', 1_000, 401],
  ])('B34: %s', async (_when, offset, status) => {
    const moving = createFrozenClock()
    await using other = await startService({ clock: moving, configuration })
    const token = await issueBws(other)
    moving.set(Number(claimsIn(token).exp) * 1000 + offset)
    for (const operation of ['upload', 'verify'] as const) {
      expect((await checkBws(other, operation, token)).status).toBe(status)
    }
    if (status === 401) await expectUnauthorized(token, other)
  })

  test.each([
    ['accepts a token exactly at nbf', 0, 200],
    ['rejects a token just before nbf', -1, 401],
    ['rejects a token one hour before nbf', -3_600_000, 401],
  ])('B34: %s', async (_when, offset, status) => {
    const moving = createFrozenClock()
    await using other = await startService({ clock: moving, configuration })
    const token = await issueBws(other)
    moving.set(Number(claimsIn(token).nbf) * 1000 + offset)
    for (const operation of ['upload', 'verify'] as const) {
      expect((await checkBws(other, operation, token)).status).toBe(status)
    }
    if (status === 401) await expectUnauthorized(token, other)
  })
})

describe('a forged token', () => {
  test("B34: accepts a token that this test signs with the service's key", async () => {
    const token = await issueBws(service)
    expect((await checkBws(service, 'verify', forge(claimsIn(token)))).status).toBe(200)
  })

  test.each(['header', 'payload', 'signature'])('B34: returns 401 for a change anywhere in the %s', async (segment) => {
    const token = await issueBws(service)
    const [header = '', payload = '', signature = ''] = token.split('.')
    const starts = { header: 0, payload: header.length + 1, signature: header.length + payload.length + 2 }
    const start = starts[segment as keyof typeof starts]
    const { length } = { header, payload, signature }[segment] ?? ''
    for (const at of [0, 1, length >> 1, length - 2, length - 1]) await expectUnauthorized(alter(token, start + at))
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
        const other = await issueBws(service)
        return [...token.split('.').slice(0, 2), other.split('.')[2]].join('.')
      },
    ],
    [
      'alg none, unsigned',
      (_token, claims) => forge(claims, { header: { alg: 'none', typ: 'JWT' } }).replace(/[^.]+$/, ''),
    ],
    ['alg none, signed', (_token, claims) => forge(claims, { header: { alg: 'none', typ: 'JWT' } })],
    ['alg HS384', (_token, claims) => forge(claims, { header: { alg: 'HS384', typ: 'JWT' }, hash: 'sha384' })],
    ['alg HS512', (_token, claims) => forge(claims, { header: { alg: 'HS512', typ: 'JWT' }, hash: 'sha512' })],
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
    ['our audience with a path', (_token, claims) => forge({ ...claims, aud: `${claims.aud}/some/path` })],
    [
      'our audience among others',
      (_token, claims) => forge({ ...claims, aud: [claims.aud, 'https://other.example.com'] }),
    ],
    ['another issuer', (_token, claims) => forge({ ...claims, iss: 'Other' })],
    ['no audience', (_token, { aud: _aud, ...claims }) => forge(claims)],
    ['no issuer', (_token, { iss: _iss, ...claims }) => forge(claims)],
    ['no exp', (_token, { exp: _exp, ...claims }) => forge(claims)],
    ['an exp that is not a number', (_token, claims) => forge({ ...claims, exp: '9999999999' })],
    ['no nbf', (_token, { nbf: _nbf, ...claims }) => forge(claims)],
    ['no tokenid', (_token, { tokenid: _tokenid, ...claims }) => forge(claims)],
    ['no app', (_token, { app: _app, ...claims }) => forge(claims)],
    ['an app that is not configured', (_token, claims) => forge({ ...claims, app: 'gone' })],
    ['an app that every object has as a property', (_token, claims) => forge({ ...claims, app: '__proto__' })],
    ['no task', (_token, { task: _task, ...claims }) => forge(claims)],
    ['an unknown task', (_token, claims) => forge({ ...claims, task: 0x30 | 0x103 })],
    ['a task without tries', (_token, claims) => forge({ ...claims, task: 0x100 })],
    ['a task as text', (_token, claims) => forge({ ...claims, task: '259' })],
    ['no claims', () => forge({})],
  ]
  test.each(changes)('B34: returns 401 for %s', async (_what, change) => {
    const token = await issueBws(service, 'maxtries=1')
    const changed = await change(token, claimsIn(token))
    await expectUnauthorized(changed)
    expect((await checkBws(service, 'verify', token)).status).toBe(200)
  })

  test('B34: returns 401 for an IDscan token, also with BWS claims added', async () => {
    const token = await issueIdscan(service)
    await expectUnauthorized(token)
    const { aud, iss, ...rest } = claimsIn(token)
    expect([aud, iss]).toEqual(['https://tokens.example.com/some/path', 'https://tokens.example.com/some/path'])
    await expectUnauthorized(forge({ ...rest, aud: 'https://tokens.example.com', iss: 'BWS' }))
  })

  test('B34: returns 401 for a nevisFIDO token and its session', async () => {
    const { token, sessionId } = await createToken(service, 'registration')
    await expectUnauthorized(token)
    await expectUnauthorized(sessionId)
  })

  test('B34: requires the configured issuer and audience', async () => {
    const bws = { issuer: 'Other', audience: 'https://bws.example.com/path', apps: [APP] }
    await using other = await startService({ clock, configuration: { ...configuration, bws } })
    const token = await issueBws(other)
    expect((await checkBws(other, 'verify', token)).status).toBe(200)
    await expectUnauthorized(token)
    await expectUnauthorized(await issueBws(service), other)
  })

  test('B34: returns 401 for a token of an app that is no longer configured', async () => {
    const bws = { apps: [{ ...APP, id: 'another' }] }
    await using other = await startService({ clock, configuration: { ...configuration, bws } })
    await expectUnauthorized(await issueBws(service), other)
  })

  test('B34: verifies with every live key, until its notAfter', async () => {
    trackSecret(OTHER_KEY)
    const moving = createFrozenClock(Date.UTC(2026, 0, 1) - 1)
    const keys = [{ secret: KEY }, { secret: OTHER_KEY, notAfter: '2026-01-01' }]
    await using rotating = await startService({ clock: moving, configuration: { ...configuration, keys } })
    const token = forge(claimsIn(await issueBws(rotating)), { key: OTHER_KEY })
    expect((await checkBws(rotating, 'verify', token)).status).toBe(200)
    moving.advance(1)
    await expectUnauthorized(token, rotating)
  })
})

describe('a revoked token', () => {
  test.each(BWS_TASKS)(
    'B34: returns 401 for a revoked token for %s at once, and accepts other tokens',
    async (task) => {
      const [token, other] = [await issueBws(service, `task=${task}`), await issueBws(service, `task=${task}`)]
      expect((await checkBws(service, task, token)).status).toBe(200)
      expect(await revoke(service, token)).toMatchObject({ status: 200, body: '' })
      await expectUnauthorized(token)
      expect(triesLeft(await checkBws(service, task, other))).toBe('2')
    },
  )

  test('B34: reports a token as revoked rather than used up', async () => {
    const token = await issueBws(service, 'maxtries=1')
    await checkBws(service, 'verify', token)
    expect(await checkBws(service, 'verify', token)).toMatchObject(USED_UP)
    await revoke(service, token)
    await expectUnauthorized(token)
  })

  test('B34: revokes nothing for an altered token', async () => {
    const token = await issueBws(service)
    expect(await revoke(service, alter(token))).toMatchObject({ status: 200, body: '' })
    expect(await revoke(service, forge(claimsIn(token), { key: FOREIGN_KEY }))).toMatchObject({ status: 200 })
    expect((await checkBws(service, 'verify', token)).status).toBe(200)
  })
})

describe('several processes with one store', () => {
  test('B34, B35: shares tries, and revocations within a second, between processes', async () => {
    const moving = createFrozenClock()
    await using first = await startService({ clock: moving, configuration })
    await using second = await startService({ clock: moving, configuration, stores: first.stores })
    const token = await issueBws(first)
    expect(triesLeft(await checkBws(first, 'verify', token))).toBe('2')
    expect(triesLeft(await checkBws(second, 'verify', token))).toBe('1')
    await revoke(first, token)
    moving.advance(1_000)
    await expectUnauthorized(token, second)
  })
})

describe('while the store is unavailable', () => {
  const away = async (): Promise<never> => {
    throw new Error('the store is away')
  }
  const UNAVAILABLE = {
    status: 503,
    body: '{"Message":"Temporarily unavailable. Try again later."}',
    headers: { 'retry-after': '1', 'cache-control': 'no-store', 'content-type': 'application/json; charset=utf-8' },
  }

  test('B35: returns 503 when a try cannot be counted, and answers what needs no try', async () => {
    const { uses } = service.stores
    await using broken = await startService({ clock, configuration, stores: { uses: { ...uses, count: away } } })
    const token = await issueBws(broken)
    expect(await checkBws(broken, 'verify', token)).toMatchObject(UNAVAILABLE)
    expect((await checkBws(broken, 'upload', token)).status).toBe(200)
    expect(await checkBws(broken, 'enroll', token)).toMatchObject(OTHER_TASK)
    await expectUnauthorized(alter(token), broken)
  })

  test('B34: returns 503 for valid tokens when revocation data is older than a second', async () => {
    const moving = createFrozenClock()
    await using healthy = await startService({ clock: moving, configuration })
    const { revocations } = healthy.stores
    let since = revocations.since
    const stores = { revocations: { ...revocations, since: (cursor: string | undefined) => since(cursor) } }
    await using breaking = await startService({ clock: moving, configuration, stores })
    const token = await issueBws(breaking)
    since = away
    moving.advance(999)
    expect((await checkBws(breaking, 'verify', token)).status).toBe(200)
    moving.advance(1)
    for (const operation of ['upload', 'verify'] as const) {
      expect(await checkBws(breaking, operation, token)).toMatchObject(UNAVAILABLE)
    }
    await expectUnauthorized(alter(token), breaking)
    since = revocations.since
    expect(triesLeft(await checkBws(breaking, 'verify', token))).toBe('1')
  })
})

describe('the reply', () => {
  test('B32: returns exactly this 401', async () => {
    for (const operation of OPERATIONS) {
      const reply = await service.request(`/authz/bws/${operation}`)
      expect(reply).toMatchObject(UNAUTHORIZED)
      expect(reply.headers['x-request-id']).toMatch(/./)
      expect(steadyHeaders(reply)).toEqual({
        'www-authenticate': 'Bearer realm="BWS"',
        'cache-control': 'no-store',
        'content-type': 'application/json; charset=utf-8',
        'content-length': '26',
      })
    }
  })

  test('B32: returns exactly this 200: no body, the identity in headers', async () => {
    const token = await issueBws(service)
    const reply = await checkBws(service, 'verify', token, { headers: { 'x-request-id': 'given' } })
    expect(reply).toMatchObject({ status: 200, body: '', headers: { 'x-request-id': 'given' } })
    expect(steadyHeaders(reply)).toEqual({
      'cache-control': 'no-store',
      'content-length': '0',
      'x-trimint-token-id': claimsIn(token).tokenid,
      'x-trimint-subject': 'app-1',
      'x-trimint-client': 'BWS-Test',
      'x-trimint-bcid': 'bws/112/12345',
      'x-trimint-task': 'verify',
      'x-trimint-tries-left': '2',
    })
  })

  test.each(BWS_TASKS)("B33: names the token's own task at upload: %s", async (task) => {
    const token = await issueBws(service, `task=${task}`)
    const { 'token-id': tokenId, ...identity } = identityOf(await checkBws(service, 'upload', token))
    expect(tokenId).toBe(claimsIn(token).tokenid)
    expect(identity).toEqual({ subject: 'app-1', client: 'BWS-Test', bcid: 'bws/112/12345', task })
  })

  test('B33: sends no bcid header for a token without a bcid', async () => {
    const { body: token } = await service.request('/token?id=app-1&task=livenessdetection', {
      as: { id: APP.id, secret: APP_SECRET },
    })
    const reply = await checkBws(service, 'livenessdetection', token)
    expect(reply.status).toBe(200)
    expect(identityOf(reply)).toEqual({
      'token-id': claimsIn(token).tokenid,
      subject: 'app-1',
      client: 'BWS-Test',
      task: 'livenessdetection',
      'tries-left': '2',
    })
  })

  test.each([
    ['umlaut', 'umlaut', 'PSC%20%C3%BC%25', 'PSC ü%'],
    ['odd é%', 'odd%20%C3%A9%25', undefined, AWKWARD],
    ['bare', 'bare', 'bare', 'bare'],
  ])('B32: encodes the names of app and client in headers: %s', async (id, subject, encoded, client) => {
    const { body: token } = await service.request(`/token?id=${encodeURIComponent(id)}&bcid=${BCID}`, {
      as: { id, secret: APP_SECRET },
    })
    const identity = identityOf(await checkBws(service, 'verify', token))
    expect(identity.subject).toBe(subject)
    expect(decodeURIComponent(String(identity.subject))).toBe(id)
    if (encoded) expect(identity.client).toBe(encoded)
    expect(identity.client).toMatch(/^[!-~]+$/)
    expect(decodeURIComponent(String(identity.client))).toBe(client)
  })

  test('B33, B35: sends no identity headers with a refusal', async () => {
    const token = await issueBws(service, 'maxtries=1')
    expect(identityOf(await checkBws(service, 'enroll', token))).toEqual({})
    await checkBws(service, 'verify', token)
    expect(identityOf(await checkBws(service, 'verify', token))).toEqual({})
    expect(identityOf(await checkBws(service, 'verify', alter(token)))).toEqual({})
  })

  test('B32: sends no CORS headers for any Origin', async () => {
    const headers = { origin: 'https://app.example.com', 'access-control-request-method': 'POST' }
    const replies = [
      await checkBws(service, 'upload', await issueBws(service), { headers }),
      await service.request('/authz/bws/upload', { method: 'OPTIONS', headers }),
    ]
    expect(replies.map(({ status }) => status)).toEqual([200, 401])
    for (const { headers: sent } of replies) {
      expect(Object.keys(sent).filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })
})

describe('the original request', () => {
  const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY']

  test.each(METHODS)('B32: answers %s as any other method', async (method) => {
    const token = await issueBws(service, 'maxtries=1')
    const options = { method, headers: { 'x-original-method': method } }
    expect(await checkBws(service, 'upload', token, options)).toMatchObject({ status: 200, body: '' })
    const reply = await checkBws(service, 'verify', token, options)
    expect(reply).toMatchObject({ status: 200, body: '' })
    expect(triesLeft(reply)).toBe('0')
    expect((await checkBws(service, 'verify', token, options)).status).toBe(403)
    const refused = await service.request('/authz/bws/verify', options)
    expect(refused).toMatchObject({ ...UNAUTHORIZED, ...(method === 'HEAD' ? { body: '' } : {}) })
    expect(refused.headers['www-authenticate']).toBe('Bearer realm="BWS"')
  })

  test.each([
    ['application/json', '{b'],
    ['application/json', ''],
    ['application/x-www-form-urlencoded', 'token=x'],
    ['multipart/form-data', 'x'],
    ['image/png', 'x'.repeat(1_000)],
    [';;;', 'x'],
    ['application/octet-stream', 'x'.repeat(70_000)],
  ])('B32: ignores a body of %s', async (contentType, body) => {
    const options = { method: 'POST', headers: { 'content-type': contentType }, body }
    expect((await checkBws(service, 'upload', await issueBws(service), options)).status).toBe(200)
    expect(await checkBws(service, 'upload', 'abc', options)).toMatchObject(UNAUTHORIZED)
  })

  test('B32: does not wait for the body', async () => {
    const token = await issueBws(service)
    const socket = connect(service.port, '127.0.0.1')
    const head = `POST /authz/bws/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}`
    socket.write(`${head}\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n`)
    const [chunk] = await once(socket, 'data')
    socket.destroy()
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 200 /)
  })

  test.each([
    '/authz',
    '/authz/bws',
    '/authz/bws/',
    '/authz/bws/nothing',
    '/authz/bws/Verify',
    '/authz/bws/scanning',
    '/authz/bws/verify/x',
    '/authz/bws/__proto__',
    '/authz/bws/constructor',
    '/authz/nevisfido/registration',
  ])('B33: returns a plain 404 at %s, with and without a token', async (path) => {
    const headers = { authorization: `Bearer ${await issueBws(service)}` }
    for (const options of [{}, { headers }, { headers, method: 'POST', body: '{b' }]) {
      expect(await service.request(path, options)).toMatchObject({
        status: 404,
        body: '{"error":"not_found","error_description":"There is nothing at this path."}',
        headers: { 'cache-control': 'no-store' },
      })
    }
  })

  test('B33: returns 404 when the contract is switched off', async () => {
    await using off = await startService({ clock, configuration: { ...configuration, bws: false } })
    const token = await issueBws(service)
    for (const operation of OPERATIONS) expect((await checkBws(off, operation, token)).status).toBe(404)
  })
})

test('B32: logs neither tokens nor what was sent in their place', async () => {
  const marker = 'marker-of-a-credential-that-no-log-may-hold'
  trackSecret(marker)
  await using other = await startService({ clock, configuration })
  const token = await issueBws(other, 'maxtries=1')
  for (const operation of OPERATIONS) await checkBws(other, operation, token)
  await checkBws(other, 'verify', token)
  await expectUnauthorized(alter(token), other)
  await revoke(other, token)
  await expectUnauthorized(token, other)
  const placed = [
    { headers: { authorization: marker } },
    { headers: { authorization: `Bearer ${marker}` } },
    { headers: { cookie: `token=${marker}` } },
    { method: 'POST', body: marker },
  ]
  for (const options of placed) await other.request(`/authz/bws/verify?x=${marker}`, options)
  await other.request(`/authz/bws/${marker}`)
  const written = JSON.stringify(other.log)
  expect(written).not.toContain(marker)
  expect(written).not.toContain(token.split('.')[1])
  expect(written).not.toContain(token.split('.')[2])
})
