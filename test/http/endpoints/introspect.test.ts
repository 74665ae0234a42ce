import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import { BCID, claimsOf, getToken, QUERY } from '../../support/bws.ts'
import { ACCOUNT, jsonOf, LOGIN, login } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import {
  type Claims,
  checkBws,
  checkIdscan,
  claimsIn,
  FOREIGN_KEY,
  forge,
  introspect,
  issueBws,
  issueIdscan,
  RESOURCE_SERVER,
  RESOURCE_SERVERS,
} from '../../support/lifecycle.ts'
import { CLIENT, codeOf, create, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { createPredictableRandomness } from '../../support/randomness.ts'
import { type Form, formEncode, INACTIVE, oauthBasic, post } from '../../support/resource-server.ts'
import { APP, basic, type RequestOptions, type Service, startService } from '../../support/service.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const PATH = '/introspect'
/** RFC 7519 NumericDate of FROZEN_TIME. */
const NOW = 1_767_323_045
const PUBLIC_URL = 'https://tokens.example.com/some/path'

const standard = {
  guard: false,
  resourceServers: RESOURCE_SERVERS,
  idscan: { accounts: [ACCOUNT] },
  nevisfido: OPEN,
} satisfies Partial<ConfigurationInput>

const service = await startService({ clock: createFrozenClock(), configuration: standard })
afterAll(() => service.close())

/** Sends a request id, so that the service draws none. */
const QUIET = { headers: { 'x-request-id': 'quiet' } }

/** Returns the reply, and expects JSON text with exactly the documented members in their order. */
async function expectWhole(at: Service, token: string, whole: object): Promise<void> {
  const reply = await introspect(at, token)
  expect(reply).toMatchObject({ status: 200, headers: { 'content-type': expect.stringMatching(/^application\/json/) } })
  expect(JSON.parse(reply.body)).toEqual(whole)
  expect(reply.body).toBe(JSON.stringify(whole))
}

async function expectInactive(at: Service, token: string): Promise<void> {
  expect(await introspect(at, token)).toMatchObject({ status: 200, body: INACTIVE })
}

describe('introspection of a BWS token', () => {
  const start = (challengeClaim: 'array' | 'string' = 'array') =>
    startService({
      clock: createFrozenClock(),
      randomness: createPredictableRandomness(),
      configuration: { guard: false, resourceServers: RESOURCE_SERVERS, bws: { challengeClaim, apps: [APP] } },
    })
  const issue = async (at: Service, query = QUERY) => (await getToken(at, query, QUIET)).body
  const trimintOf = async (at: Service, token: string) => JSON.parse((await introspect(at, token)).body).trimint

  test('returns exactly these members', async () => {
    await using service = await start()
    await expectWhole(service, await issue(service), {
      active: true,
      token_type: 'bearer',
      iss: 'BWS',
      sub: 'app-1',
      aud: 'https://tokens.example.com',
      client_id: 'app-1',
      nbf: NOW,
      exp: NOW + 600,
      jti: '00000000-0000-4000-8000-000000000000',
      trimint: {
        contract: 'bws',
        task: 'verify',
        client: 'BWS-Test',
        triesAllowed: 3,
        triesLeft: 3,
        liveDetection: true,
        autoEnroll: false,
        traits: ['Face', 'Periocular'],
        bcid: 'bws/112/12345',
      },
    })
  })

  test.each([
    {
      query: `${QUERY}&task=identify&maxtries=1&traits=voice`,
      task: 'identify',
      tries: 1,
      liveDetection: true,
      autoEnroll: false,
      traits: ['Voice'],
      bcid: 'bws/112/12345',
    },
    {
      query: `id=app-1&bcid=bws.-1.-007&maxtries=15&livedetection=false&autoenroll=true&challenge=true`,
      task: 'verify',
      tries: 15,
      liveDetection: false,
      autoEnroll: true,
      traits: ['Face', 'Periocular'],
      bcid: 'bws/-1/-7',
    },
    {
      query: `${QUERY}&task=enroll&autoenroll=true&traits=voice,face`,
      task: 'enroll',
      tries: 3,
      liveDetection: true,
      autoEnroll: false,
      traits: ['Face', 'Voice'],
      bcid: 'bws/112/12345',
    },
  ])('returns what was requested: $query', async ({ query, task, tries, ...rest }) => {
    const said = { contract: 'bws', task, client: 'BWS-Test', triesAllowed: tries, triesLeft: tries, ...rest }
    expect(await trimintOf(service, await issue(service, query))).toEqual(said)
  })

  test('returns no bcid for liveness detection without one', async () => {
    expect(await trimintOf(service, await issue(service, 'id=app-1&task=livenessdetection'))).toEqual({
      contract: 'bws',
      task: 'livenessdetection',
      client: 'BWS-Test',
      triesAllowed: 3,
      triesLeft: 3,
      liveDetection: true,
      autoEnroll: false,
      traits: ['Face', 'Periocular'],
    })
  })

  test.each([
    { challengeClaim: 'array', claim: [expect.any(Array), expect.any(Array)] },
    { challengeClaim: 'string', claim: expect.stringMatching(/^\[\[/) },
  ] as const)('returns the challenge as arrays when the claim is an $challengeClaim', async (row) => {
    await using service = await start(row.challengeClaim)
    const reply = await getToken(service, `${QUERY}&challenge=true&challenges=2&maxtries=2`, QUIET)
    expect(claimsOf(reply).challenge).toEqual(row.claim)
    await expectWhole(service, reply.body, {
      active: true,
      token_type: 'bearer',
      iss: 'BWS',
      sub: 'app-1',
      aud: 'https://tokens.example.com',
      client_id: 'app-1',
      nbf: NOW,
      exp: NOW + 600,
      jti: '00000000-0000-4000-8000-000000000000',
      trimint: {
        contract: 'bws',
        task: 'verify',
        client: 'BWS-Test',
        triesAllowed: 2,
        triesLeft: 2,
        liveDetection: true,
        challenge: [
          ['down', 'up'],
          ['right', 'left'],
        ],
        autoEnroll: false,
        traits: ['Face', 'Periocular'],
        bcid: 'bws/112/12345',
      },
    })
  })

  test('returns the client name unchanged', async () => {
    const client = 'A&B > C? ~ü 💥 "\\'
    await using service = await startService({ configuration: { ...standard, bws: { apps: [{ ...APP, client }] } } })
    expect(await trimintOf(service, await issue(service))).toMatchObject({ client })
  })

  test('returns fewer tries after each check of its task, and inactive when none is left', async () => {
    const token = await issue(service)
    const left = async () => (await trimintOf(service, token))?.triesLeft
    for (const tries of [2, 1]) {
      expect((await checkBws(service, 'verify', token)).status).toBe(200)
      expect(await left()).toBe(tries)
      expect(await left()).toBe(tries)
    }
    expect((await checkBws(service, 'verify', token)).status).toBe(200)
    await expectInactive(service, token)
    expect((await checkBws(service, 'verify', token)).status).toBe(403)
  })

  test('returns the same tries after an upload and after a refused check of another task', async () => {
    const token = await issue(service)
    expect((await checkBws(service, 'upload', token)).status).toBe(200)
    expect((await checkBws(service, 'enroll', token)).status).toBe(403)
    expect(await trimintOf(service, token)).toMatchObject({ triesLeft: 3 })
  })

  test('consumes no try, however often it is done', async () => {
    const token = await issue(service)
    for (let count = 0; count < 100; count++) {
      expect(await trimintOf(service, token)).toMatchObject({ triesAllowed: 3, triesLeft: 3 })
    }
    const statuses = []
    for (let count = 0; count < 4; count++) statuses.push((await checkBws(service, 'verify', token)).status)
    expect(statuses).toEqual([200, 200, 200, 403])
  })
})

describe('introspection of an IDscan token', () => {
  const bare = { username: 'bare', password: ACCOUNT.password, areas: ['scanning' as const] }
  const start = () =>
    startService({
      clock: createFrozenClock(),
      randomness: createPredictableRandomness(),
      configuration: { bws: false, resourceServers: RESOURCE_SERVERS, idscan: { accounts: [ACCOUNT, bare] } },
    })

  const loginToken = async (at: Service, form: Record<string, string> = LOGIN) =>
    String(jsonOf(await login(at, form, QUIET)).access_token)
  const whole = (sub: string, trimint: object) => ({
    active: true,
    token_type: 'bearer',
    iss: PUBLIC_URL,
    sub,
    aud: PUBLIC_URL,
    iat: NOW,
    nbf: NOW,
    exp: NOW + 36_000,
    // The process drew the first 32 bytes for a key.
    jti: '00000000-0000-4000-8000-000000000020',
    trimint: { contract: 'idscan', ...trimint },
  })

  test('returns exactly these members', async () => {
    await using service = await start()
    const said = { area: 'scanning', role: 'SuperAdministrator', fullName: 'PSC', tenant: 'IDscan' }
    await expectWhole(service, await loginToken(service), whole('psc', said))
  })

  test('omits members that the token does not have', async () => {
    await using service = await start()
    const { area: _area, ...form } = LOGIN
    await expectWhole(service, await loginToken(service, { ...form, username: 'bare' }), whole('bare', {}))
  })

  test('leaves the token valid after a hundred times', async () => {
    const token = await issueIdscan(service)
    for (let count = 0; count < 100; count++) {
      expect((await introspect(service, token)).body).toContain('"area":"scanning"')
    }
    expect((await checkIdscan(service, 'scanning', token)).status).toBe(200)
  })

  test('does not restart the idle time-out', async () => {
    const clock = createFrozenClock()
    const idscan = { accounts: [ACCOUNT], idleTimeout: '15m', enforceIdleTimeout: true }
    await using service = await startService({ clock, configuration: { ...standard, idscan } })
    const token = await issueIdscan(service)
    clock.advance(10 * 60_000)
    expect((await introspect(service, token)).body).toContain('"active":true')
    clock.advance(10 * 60_000)
    await expectInactive(service, token)
    expect((await checkIdscan(service, 'scanning', token)).status).toBe(401)
  })
})

describe('introspection of a nevisFIDO token', () => {
  const start = () =>
    startService({
      clock: createFrozenClock(),
      configuration: {
        bws: false,
        resourceServers: RESOURCE_SERVERS,
        nevisfido: { ...OPEN, protect: ['registration'] },
      },
    })

  const digestOf = (token: string) => createHash('sha256').update(token).digest('base64url')

  test('returns exactly these members', async () => {
    await using service = await start()
    const { token } = await createToken(service, 'registration', { as: CLIENT })
    await expectWhole(service, token, {
      active: true,
      token_type: 'bearer',
      iss: PUBLIC_URL,
      sub: 'jeff',
      aud: OPEN.appId,
      client_id: 'backend',
      iat: NOW,
      exp: NOW + 300,
      jti: digestOf(token),
      trimint: { contract: 'nevisfido', operation: 'registration', state: 'created', status: 'tokenCreated' },
    })
    expect(service.log).toContainEqual(expect.objectContaining({ event: 'token.issued', tokenId: digestOf(token) }))
  })

  test('omits user and client when the token has none', async () => {
    await using service = await start()
    const body = JSON.stringify({ op: 'Auth', context: '{}' })
    const { token } = JSON.parse((await create(service, 'authentication', { body })).body) as { token: string }
    trackSecret(token)
    await expectWhole(service, token, {
      active: true,
      token_type: 'bearer',
      iss: PUBLIC_URL,
      aud: OPEN.appId,
      iat: NOW,
      exp: NOW + 300,
      jti: digestOf(token),
      trimint: { contract: 'nevisfido', operation: 'authentication', state: 'created', status: 'tokenCreated' },
    })
  })

  test('leaves the token redeemable after a hundred times, and is inactive after the redemption', async () => {
    const { token } = await createToken(service, 'authentication')
    for (let count = 0; count < 100; count++) {
      expect((await introspect(service, token)).body).toContain('"state":"created"')
    }
    expect(codeOf(await redeem(service, 'authentication', token))).toBe(1200)
    await expectInactive(service, token)
    expect(codeOf(await redeem(service, 'authentication', token))).toBe(1491)
  })

  test('finds it by the token, not by its session id or digest', async () => {
    const { token, sessionId } = await createToken(service, 'authentication')
    await expectInactive(service, sessionId)
    await expectInactive(service, digestOf(token))
  })
})

test.each(['access_token', 'refresh_token', 'bws', 'made:up', '', '\0', 'x'.repeat(1_000)])(
  'introspection ignores a token_type_hint of %j',
  async (token_type_hint) => {
    const tokens = [
      await issueBws(service),
      await issueIdscan(service),
      (await createToken(service, 'authentication')).token,
    ]
    for (const token of tokens) {
      const reply = await post(service, PATH, { token, token_type_hint }, { as: RESOURCE_SERVER })
      expect(reply.body).toBe((await introspect(service, token)).body)
      expect(reply.body).toMatch(/^\{"active":true/)
    }
  },
)

describe('introspection returns exactly {"active":false}', () => {
  test.each([
    'x',
    ' ',
    '.',
    '..',
    'a.b.c',
    'null',
    '{}',
    '[]',
    '__proto__',
    'undefined',
    '00000000-0000-4000-8000-000000000000',
    '../../etc/passwd',
    "' OR 1=1 --",
    '💥',
    '\ufeff',
    'eyJhbGciOiJub25lIn0.e30.',
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA',
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9..',
  ])('returns active false for the text %j', (token) => expectInactive(service, token))

  test('returns active false for a token altered at any place', async () => {
    const token = await issueBws(service)
    const [header = '', payload = '', signature = ''] = token.split('.')
    const other = (await issueBws(service)).split('.')
    const last = signature.at(-1) === 'A' ? 'B' : 'A'
    const altered = [
      `${header}.${other[1]}.${signature}`,
      `${header}.${payload}.${other[2]}`,
      `${header}.${payload}.${signature.slice(0, -1)}${last}`,
      `${header}.${payload}.${signature}=`,
      `${header}.${payload}.${signature}.`,
      `${header}.${payload}`,
      `${header}.${payload}.`,
      `Bearer ${token}`,
      token.toLowerCase(),
    ]
    for (const changed of altered) await expectInactive(service, changed)
    expect((await introspect(service, token)).body).toMatch(/^\{"active":true/)
  })

  test('returns active false for a token signed with another key', async () => {
    const claims = claimsIn(await issueBws(service))
    expect((await introspect(service, forge(claims))).body).toMatch(/^\{"active":true/)
    await expectInactive(service, forge(claims, { key: FOREIGN_KEY }))
  })

  const without = (claim: string, claims: Claims) => {
    const { [claim]: _left, ...rest } = claims
    return rest
  }
  const strange: [what: string, change: (claims: Claims) => Claims][] = [
    ['no claims at all', () => ({})],
    ['no exp', (claims) => without('exp', claims)],
    ['exp as text', (claims) => ({ ...claims, exp: String(claims.exp) })],
    ['exp null', (claims) => ({ ...claims, exp: null })],
    ['nbf in a second', (claims) => ({ ...claims, nbf: NOW + 1 })],
    ['nbf as text', (claims) => ({ ...claims, nbf: String(claims.nbf) })],
    ['another issuer', (claims) => ({ ...claims, iss: 'https://elsewhere.example.com' })],
    ['another audience', (claims) => ({ ...claims, aud: 'https://elsewhere.example.com' })],
    ['an audience among several', (claims) => ({ ...claims, aud: [claims.aud, 'https://elsewhere.example.com'] })],
  ]
  const strangeBws: typeof strange = [
    ...strange,
    ['no tokenid', (claims) => without('tokenid', claims)],
    ['a number as tokenid', (claims) => ({ ...claims, tokenid: 5 })],
    ['an app that does not exist', (claims) => ({ ...claims, app: 'nobody' })],
    ['a name every object has as app', (claims) => ({ ...claims, app: '__proto__' })],
    ['no tries', (claims) => ({ ...claims, task: 0x100 })],
    ['a task that there is not', (claims) => ({ ...claims, task: 0x143 })],
    ['a task as text', (claims) => ({ ...claims, task: 'verify' })],
  ]
  const strangeIdscan: typeof strange = [
    ...strange,
    ['no jti', (claims) => without('jti', claims)],
    ['no sub', (claims) => without('sub', claims)],
    ['an account that does not exist', (claims) => ({ ...claims, sub: 'nobody' })],
    ['a name every object has as account', (claims) => ({ ...claims, sub: '__proto__' })],
    ['an object as account', (claims) => ({ ...claims, sub: {} })],
  ]

  test.each(strangeBws)('returns active false for correctly signed BWS claims with %s', async (_what, change) => {
    await expectInactive(service, forge(change(claimsIn(await issueBws(service)))))
  })

  test.each(strangeIdscan)('returns active false for correctly signed IDscan claims with %s', async (_what, change) => {
    await expectInactive(service, forge(change(claimsIn(await issueIdscan(service)))))
  })

  test('returns active false for every kind of token once it expires', async () => {
    const clock = createFrozenClock()
    await using service = await startService({ clock, configuration: standard })
    const kinds: [token: string, expires: number][] = [
      [(await createToken(service, 'authentication')).token, FROZEN_TIME + 300_000],
      [await issueBws(service), (NOW + 600) * 1000],
      [await issueIdscan(service), (NOW + 36_000) * 1000],
    ]
    for (const [token, expires] of kinds) {
      clock.set(expires - 1)
      expect((await introspect(service, token)).body).toMatch(/^\{"active":true/)
      clock.set(expires)
      await expectInactive(service, token)
    }
  })

  describe('for what the configuration no longer contains', () => {
    let tokens: { bws: string; idscan: string; fido: string }
    beforeAll(async () => {
      const { token } = await createToken(service, 'authentication')
      tokens = { bws: await issueBws(service), idscan: await issueIdscan(service), fido: token }
    })
    const clock = createFrozenClock()
    const start = (changed: object) => startService({ clock, configuration: { ...standard, ...changed } })

    test('accepts the token with an unchanged configuration', async () => {
      await using again = await start({})
      expect((await introspect(again, tokens.bws)).body).toMatch(/^\{"active":true/)
      expect((await introspect(again, tokens.idscan)).body).toMatch(/^\{"active":true/)
      await expectInactive(again, tokens.fido)
    })

    test.each([
      ['bws', 'the contract', { bws: false }],
      ['bws', 'the app', { bws: { apps: [{ ...APP, id: 'app-2' }] } }],
      ['bws', 'the audience', { publicUrl: 'https://elsewhere.example.com' }],
      ['bws', 'the key', { keys: [{ secret: FOREIGN_KEY }] }],
      ['idscan', 'the contract', { idscan: false }],
      ['idscan', 'the account', { idscan: { accounts: [{ ...ACCOUNT, username: 'PSC' }] } }],
      ['idscan', 'the account, which is disabled', { idscan: { accounts: [{ ...ACCOUNT, disabled: true }] } }],
      ['idscan', 'the issuer', { publicUrl: 'https://elsewhere.example.com' }],
    ] as const)('%s: %s', async (kind, _what, changed) => {
      await using service = await start(changed)
      await expectInactive(service, tokens[kind])
    })

    test('nevisfido: the contract', async () => {
      const { stores } = service
      await using on = await startService({ clock, stores, configuration: standard })
      expect((await introspect(on, tokens.fido)).body).toMatch(/^\{"active":true/)
      await using off = await startService({ clock, stores, configuration: { ...standard, nevisfido: false } })
      await expectInactive(off, tokens.fido)
    })
  })
})

describe('authentication of resource servers', () => {
  // Reads differently with and without form encoding.
  const ODD = { id: 'verify api/1+2=3%41-x', secret: 'odd+secret / with=all:the %41 -_.~ characters ü' }
  let oddity: Service
  beforeAll(async () => {
    const resourceServers = [...RESOURCE_SERVERS, { id: ODD.id, secret: `plain:${ODD.secret}` }]
    oddity = await startService({ configuration: { ...standard, resourceServers } })
  })
  afterAll(() => oddity.close())

  const { id, secret } = RESOURCE_SERVER
  const encoded = (text: string) => Buffer.from(text).toString('base64')
  for (const text of [secret, ODD.secret, encodeURIComponent(ODD.secret)]) trackSecret(text)

  interface Attempt {
    readonly what: string
    readonly authorization?: string
    readonly form?: Form | string
  }
  const ask = ({ authorization, form = {} }: Attempt) =>
    post(
      oddity,
      PATH,
      typeof form === 'string' ? `token=x&${form}` : { token: 'x', ...form },
      authorization === undefined ? {} : { headers: { authorization } },
    )

  const welcome: Attempt[] = [
    { what: 'HTTP Basic', authorization: basic(id, secret) },
    { what: 'the scheme in another case', authorization: basic(id, secret).replace('Basic', 'bAsIc') },
    { what: 'HTTP Basic, form-urlencoded', authorization: oauthBasic(id, secret) },
    { what: 'odd characters in HTTP Basic', authorization: basic(ODD.id, ODD.secret) },
    { what: 'odd characters in HTTP Basic, form-urlencoded', authorization: oauthBasic(ODD.id, ODD.secret) },
    {
      what: 'odd characters in HTTP Basic, percent-encoded',
      authorization: basic(encodeURIComponent(ODD.id), encodeURIComponent(ODD.secret)),
    },
    { what: 'the form', form: { client_id: id, client_secret: secret } },
    { what: 'odd characters in the form', form: { client_id: ODD.id, client_secret: ODD.secret } },
    {
      what: 'odd characters in the form, all of them escaped',
      form: `client_id=${formEncode(ODD.id)}&client_secret=${formEncode(ODD.secret)}`,
    },
    { what: 'HTTP Basic, and the id in the form', authorization: basic(id, secret), form: { client_id: id } },
  ]
  test.each(welcome)('accepts $what', async (attempt) => {
    expect(await ask(attempt)).toMatchObject({ status: 200, body: INACTIVE })
  })

  const unwelcome: Attempt[] = [
    { what: 'no credentials' },
    { what: 'an empty header', authorization: '' },
    { what: 'a wrong secret', authorization: basic(id, 'a wrong secret 5a1c') },
    { what: 'an empty secret', authorization: basic(id, '') },
    { what: 'an unknown id', authorization: basic('nobody', secret) },
    { what: 'a name every object has', authorization: basic('__proto__', secret) },
    { what: 'an id in another case', authorization: basic(id.toUpperCase(), secret) },
    { what: "another one's secret", authorization: basic(id, ODD.secret) },
    { what: 'a secret encoded twice', authorization: oauthBasic(formEncode(ODD.id), formEncode(ODD.secret)) },
    { what: 'no colon', authorization: `Basic ${encoded(id)}` },
    { what: 'text that is not base64', authorization: 'Basic ***' },
    { what: 'nothing behind the scheme', authorization: 'Basic' },
    { what: 'broken percent-encoding', authorization: `Basic ${encoded(`${id}:%zz%`)}` },
    { what: 'bytes that are not UTF-8', authorization: `Basic ${Buffer.from('ff3aff', 'hex').toString('base64')}` },
    { what: 'Bearer', authorization: `Bearer ${encoded(`${id}:${secret}`)}` },
    { what: 'an app of BWS', authorization: basic(APP.id, APP.secret.slice('plain:'.length)) },
    { what: 'a client of nevisFIDO', authorization: basic(CLIENT.id, CLIENT.secret) },
    { what: 'a wrong secret in the form', form: { client_id: id, client_secret: 'a wrong secret 5a1c' } },
    { what: 'an unknown id in the form', form: { client_id: 'nobody', client_secret: secret } },
    { what: 'an id alone in the form', form: { client_id: id } },
  ]
  test.each(unwelcome)('rejects $what', async (attempt) => {
    const reply = await ask(attempt)
    expect(reply).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="Trimint", charset="UTF-8"' },
    })
    expect(JSON.parse(reply.body)).toEqual({ error: 'invalid_client', error_description: expect.any(String) })
  })

  test('returns the same reply for a wrong secret and an unknown id', async () => {
    const wrong = await ask({ what: '', authorization: basic(id, 'a wrong secret 5a1c') })
    const unknown = await ask({ what: '', authorization: basic('nobody', 'a wrong secret 5a1c') })
    expect(unknown.body).toBe(wrong.body)
  })

  test.each([
    ['right ones', basic(id, secret), { client_id: id, client_secret: secret }],
    ['a wrong secret in the form', basic(id, secret), { client_id: id, client_secret: 'a wrong secret 5a1c' }],
    ['a secret alone in the form', basic(id, secret), { client_secret: secret }],
    ['a wrong secret in the header', basic(id, 'a wrong secret 5a1c'), { client_id: id, client_secret: secret }],
  ])('rejects credentials in header and form at once: %s', async (what, authorization, form) => {
    const reply = await ask({ what, authorization, form })
    expect(reply.status).toBe(400)
    expect(JSON.parse(reply.body)).toEqual({
      error: 'invalid_request',
      error_description:
        'Send the credentials in the Authorization header or as client_id and client_secret in the body, not both.',
    })
  })

  test('names the missing client_id beside a client_secret', async () => {
    const reply = await ask({ what: 'a secret alone', form: { client_secret: secret } })
    expect(reply.status).toBe(400)
    expect(JSON.parse(reply.body)).toEqual({
      error: 'invalid_request',
      error_description: 'client_secret must be sent together with client_id.',
    })
  })

  test.each(['token', 'client_id', 'client_secret'])(
    'rejects the form, not the credentials, when %s is repeated',
    async (name) => {
      const form = { token: 'x', client_id: id, client_secret: secret }
      const reply = await ask({ what: name, form: { ...form, [name]: [form[name as keyof typeof form], 'another'] } })
      expect(reply.status).toBe(400)
      expect(JSON.parse(reply.body)).toEqual({
        error: 'invalid_request',
        error_description: `${name} must be given only once.`,
      })
    },
  )

  test.each(['token', 'client_id', 'client_secret'])(
    'rejects the form, not the credentials, when %s is not UTF-8',
    async (name) => {
      const form = new URLSearchParams({ token: 'x', client_id: id, client_secret: secret, [name]: '' }).toString()
      const reply = await service.request(PATH, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: form.replace(`${name}=`, `${name}=%ff`),
      })
      expect(reply.status).toBe(400)
      expect(JSON.parse(reply.body)).toEqual({
        error: 'invalid_request',
        error_description: `${name} must be valid UTF-8.`,
      })
    },
  )

  test('rejects every caller when no resource server is configured', async () => {
    await using closed = await startService({ configuration: { guard: false } })
    for (const as of [RESOURCE_SERVER, { id: '', secret: '' }]) {
      expect(await post(closed, PATH, { token: 'x' }, { as })).toMatchObject({ status: 401 })
    }
  })

  test('accepts two secrets, each until its notAfter', async () => {
    const clock = createFrozenClock(Date.UTC(2026, 0, 1) - 1)
    const secrets = [{ secret: 'plain:the old secret', notAfter: '2026-01-01' }, { secret: 'plain:the new secret' }]
    await using service = await startService({
      clock,
      configuration: { ...standard, resourceServers: [{ id: 'rotated', secrets }] },
    })
    const statuses = async () => {
      const replies = ['the old secret', 'the new secret'].flatMap((secret) => [
        post(service, PATH, { token: 'x' }, { as: { id: 'rotated', secret } }),
        post(service, PATH, { token: 'x', client_id: 'rotated', client_secret: secret }),
      ])
      return (await Promise.all(replies)).map(({ status }) => status)
    }
    expect(await statuses()).toEqual([200, 200, 200, 200])
    clock.advance(1)
    expect(await statuses()).toEqual([401, 401, 200, 200])
  })
})

describe('the guard on introspection', () => {
  const guard = { addressFailures: 4, window: '1m', block: '2m' }
  const configuration = { ...standard, guard, trustProxy: ['loopback'] }
  const { id, secret } = RESOURCE_SERVER
  const from = (address: string, options: RequestOptions = {}) => ({
    headers: { 'x-forwarded-for': address },
    ...options,
  })
  const inForm = (client_secret: string, client_id = id) => ({ token: 'x', client_id, client_secret })

  test('blocks an address after too many wrong secrets until the block ends, and no other address', async () => {
    const clock = createFrozenClock()
    await using service = await startService({ clock, configuration })
    const wrong = [
      () => post(service, PATH, { token: 'x' }, from('10.0.0.1', { as: { id, secret: 'a wrong secret 5a1c' } })),
      () => post(service, PATH, inForm('a wrong secret 5a1c'), from('10.0.0.1')),
      () => post(service, PATH, { token: 'x' }, from('10.0.0.1', { as: { id: 'nobody', secret } })),
      // Reads differently once decoded, and is still one failure.
      () => post(service, '/revoke', { token: 'x' }, from('10.0.0.1', { as: { id, secret: 'wrong+secret%21' } })),
    ]
    for (const attempt of wrong) expect((await attempt()).status).toBe(401)
    for (const path of [PATH, '/revoke']) {
      for (const reply of [
        await post(service, path, { token: 'x' }, from('10.0.0.1', { as: RESOURCE_SERVER })),
        await post(service, path, inForm(secret), from('10.0.0.1')),
      ]) {
        expect(reply).toMatchObject({ status: 429, headers: { 'retry-after': '120' } })
        expect(reply.headers).not.toHaveProperty('www-authenticate')
        expect(JSON.parse(reply.body)).toEqual({
          error: 'temporarily_unavailable',
          error_description: expect.any(String),
        })
      }
    }
    expect((await post(service, PATH, inForm(secret), from('10.0.0.2'))).status).toBe(200)
    clock.advance(120_000)
    expect((await post(service, PATH, inForm(secret), from('10.0.0.1'))).status).toBe(200)
  })

  test('does not count requests without a secret or with a correct one', async () => {
    await using service = await startService({ configuration })
    for (let count = 0; count < 10; count++) {
      expect((await post(service, PATH, { token: 'x' })).status).toBe(401)
      expect((await introspect(service, 'x')).status).toBe(200)
      expect((await post(service, PATH, { token: 'x' }, { as: RESOURCE_SERVER })).status).toBe(200)
      expect((await post(service, PATH, inForm(secret))).status).toBe(200)
    }
  })
})

describe('the introspection request', () => {
  const FORM = 'application/x-www-form-urlencoded'
  const asked: [what: string, contentType: string | undefined, body: string | Buffer, status: number][] = [
    ['no body', FORM, '', 400],
    ['another parameter alone', FORM, 'access_token=x', 400],
    ['a token without a value', FORM, 'token', 400],
    ['an empty token', FORM, 'token=', 400],
    ['a token twice', FORM, 'token=x&token=y', 400],
    ['the same token twice', FORM, 'token=x&token=x', 400],
    ['an empty token behind another', FORM, 'token=x&token=', 400],
    ['a JSON body', 'application/json', '{"token":"x"}', 400],
    ['a broken JSON body', 'application/json', '{', 400],
    ['a JSON body that says it is a form', FORM, '{"token":"x"}', 400],
    [
      'multipart',
      'multipart/form-data; boundary=b',
      '--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nx\r\n--b--\r\n',
      400,
    ],
    ['text', 'text/plain', 'token=x', 400],
    ['an invalid content type', ';;;', 'token=x', 400],
    ['a word as content type', 'text', 'token=x', 400],
    ['an empty content type', '', 'token=x', 400],
    ['two content types', `${FORM}, application/json`, 'token=x', 400],
    ['no content type', undefined, 'token=x', 400],
    ['neither content type nor body', undefined, '', 400],
    ['64 KiB and a byte', FORM, `token=${'x'.repeat(65_531)}`, 413],
    ['a megabyte', FORM, `token=${'x'.repeat(1 << 20)}`, 413],
    ['64 KiB', FORM, `token=${'x'.repeat(65_530)}`, 200],
    ['a token of 60 KB', FORM, `token=${'x'.repeat(60_000)}`, 200],
    ['a token of 10,000 dots', FORM, `token=${'.'.repeat(10_000)}`, 200],
    ['a token of NULs', FORM, 'token=%00%00%00', 200],
    ['raw NULs', FORM, Buffer.concat([Buffer.from('token='), Buffer.alloc(10)]), 200],
    ['broken percent-encoding', FORM, 'token=%zz', 200],
    ['broken percent-encoding in a name', FORM, '%zz=%&token=x%', 200],
    ['bytes that are not UTF-8', FORM, 'token=%ff%fe', 400],
    ['raw bytes that are not UTF-8', FORM, Buffer.from('746f6b656e3dfffe', 'hex'), 400],
    ['bytes that are not UTF-8 in an unknown parameter', FORM, 'token=x&y=%ff', 200],
    ['10,000 parameters', FORM, `token=x${'&a=b'.repeat(10_000)}`, 200],
    ['names every object has', FORM, 'token=x&__proto__=x&constructor=x&toString=x', 200],
    ['an unknown parameter', FORM, 'token=x&resource=y', 200],
    ['a content type with a charset', `${FORM};charset=UTF-8`, 'token=x', 200],
    ['a content type in another case', 'Application/X-WWW-Form-Urlencoded; charset=utf-8', 'token=x', 200],
  ]

  test.each(asked)('returns the documented status for a request with %s', async (_what, contentType, body, status) => {
    const type = contentType === undefined ? {} : { 'content-type': contentType }
    const reply = await service.request(PATH, { method: 'POST', headers: type, body, as: RESOURCE_SERVER })
    expect(reply).toMatchObject({
      status,
      headers: { 'cache-control': 'no-store', 'content-type': expect.stringMatching(/^application\/json/) },
    })
    if (status === 200) expect(reply.body).toBe(INACTIVE)
    else expect(JSON.parse(reply.body)).toEqual({ error: 'invalid_request', error_description: expect.any(String) })
  })

  test('returns the same 401 to every unauthenticated caller', async () => {
    for (const form of ['', 'token=', 'token=x']) {
      expect(await post(service, PATH, form)).toMatchObject({ status: 401 })
    }
  })

  test('ignores parameters in the query', async () => {
    const token = await issueBws(service)
    expect(await post(service, `${PATH}?token=${token}`, '', { as: RESOURCE_SERVER })).toMatchObject({ status: 400 })
    const { id, secret } = RESOURCE_SERVER
    const query = new URLSearchParams({ client_id: id, client_secret: secret })
    expect(await post(service, `${PATH}?${query}`, { token })).toMatchObject({ status: 401 })
    const both = await post(service, `${PATH}?token=other`, { token }, { as: RESOURCE_SERVER })
    expect(both.body).toMatch(/^\{"active":true/)
  })

  test.each(['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY'])(
    'with method %s is 405, with and without credentials',
    async (method) => {
      for (const options of [{}, { as: RESOURCE_SERVER }]) {
        const reply = await service.request(`${PATH}?token=x`, { method, ...options })
        expect(reply).toMatchObject({ status: 405, headers: { allow: 'POST', 'cache-control': 'no-store' } })
        expect(JSON.parse(reply.body)).toEqual({ error: 'invalid_request', error_description: expect.any(String) })
      }
    },
  )

  test('returns 405 without a body for HEAD', async () => {
    expect(await service.request(PATH, { method: 'HEAD', as: RESOURCE_SERVER })).toMatchObject({
      status: 405,
      headers: { allow: 'POST', 'cache-control': 'no-store' },
      body: '',
    })
  })
})

test('introspection logs nothing of the request', async () => {
  const marker = 'marker-that-no-log-of-introspection-may-hold'
  trackSecret(marker)
  await using service = await startService({ configuration: standard })
  const tokens = [
    (await getToken(service, `id=app-1&bcid=${BCID}`)).body,
    await issueIdscan(service),
    (await createToken(service, 'authentication')).token,
    marker,
  ]
  const { id, secret } = RESOURCE_SERVER
  for (const token of tokens) {
    await introspect(service, token)
    await post(service, PATH, { token, token_type_hint: marker, [marker]: marker }, { as: RESOURCE_SERVER })
    await post(service, PATH, { token, client_id: id, client_secret: secret })
    await post(service, PATH, { token, client_id: marker, client_secret: marker })
    await post(service, PATH, { token, client_id: id, client_secret: marker })
    await post(service, PATH, { token }, { as: { id: marker, secret: marker } })
    await post(service, PATH, { token }, { as: { id, secret: marker } })
    await post(service, PATH, { token: [token, marker] }, { as: RESOURCE_SERVER })
    await post(service, PATH, { token }, { headers: { authorization: `Bearer ${token}` } })
    await post(service, `${PATH}?token=${token}`, '', { as: RESOURCE_SERVER })
    await service.request(PATH, { method: 'POST', headers: { 'content-type': marker }, body: token })
    await service.request(`${PATH}?token=${token}`, { method: 'DELETE' })
  }
  const log = JSON.stringify(service.log)
  for (const text of [...tokens, secret, marker]) expect(log).not.toContain(text)
})
