import { afterAll, describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { ACCOUNT } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import {
  checkBws,
  checkIdscan,
  introspect,
  issueBws,
  issueIdscan,
  RESOURCE_SERVER,
  RESOURCE_SERVERS,
  revoke,
} from '../../support/lifecycle.ts'
import { askStatus, CLIENT, codeOf, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { INACTIVE, oauthBasic, post } from '../../support/resource-server.ts'
import { APP_SECRET, basic, type Reply, type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const PATH = '/revoke'
const REVOKED = { status: 200, body: '' }

const configuration = {
  guard: false,
  resourceServers: RESOURCE_SERVERS,
  idscan: { accounts: [ACCOUNT] },
  nevisfido: OPEN,
} satisfies Partial<ConfigurationInput>

const service = await startService({ configuration })
afterAll(() => service.close())

interface Kind {
  readonly kind: string
  /** Milliseconds after issue during which every token is live. */
  readonly lifetime: number
  issue(at: Service): Promise<string>
  /** The result of using it: `good` while it is live, `refused` once it is revoked. */
  use(at: Service, token: string): Promise<number>
  readonly good: number
  readonly refused: number
}

const kinds: Kind[] = [
  {
    kind: 'bws',
    lifetime: 599_000,
    issue: (at) => issueBws(at),
    use: async (at, token) => (await checkBws(at, 'verify', token)).status,
    good: 200,
    refused: 401,
  },
  {
    kind: 'idscan',
    lifetime: 35_999_000,
    issue: (at) => issueIdscan(at),
    use: async (at, token) => (await checkIdscan(at, 'scanning', token)).status,
    good: 200,
    refused: 401,
  },
  {
    kind: 'nevisfido',
    lifetime: 299_000,
    issue: async (at) => (await createToken(at, 'authentication')).token,
    use: async (at, token) => codeOf(await redeem(at, 'authentication', token)),
    good: 1200,
    refused: 1491,
  },
]

async function expectActive(at: Service, token: string): Promise<void> {
  expect(await introspect(at, token)).toMatchObject({
    status: 200,
    body: expect.stringMatching(/^\{"active":true/),
  })
}

async function expectInactive(at: Service, token: string): Promise<void> {
  expect(await introspect(at, token)).toMatchObject({ status: 200, body: INACTIVE })
}

describe.each(kinds)('revoking a $kind token', ({ lifetime, issue, use, good, refused }) => {
  test('makes it rejected at once and for good', async () => {
    const token = await issue(service)
    await expectActive(service, token)
    expect(await revoke(service, token)).toMatchObject(REVOKED)
    await expectInactive(service, token)
    for (let count = 0; count < 3; count++) expect(await use(service, token)).toBe(refused)
    await expectInactive(service, token)
  })

  test('gives the same reply when repeated', async () => {
    const token = await issue(service)
    for (let count = 0; count < 3; count++) expect(await revoke(service, token)).toMatchObject(REVOKED)
    await expectInactive(service, token)
  })

  test('leaves other tokens valid', async () => {
    const [before, revoked] = [await issue(service), await issue(service)]
    await revoke(service, revoked)
    const after = await issue(service)
    for (const token of [before, after]) {
      await expectActive(service, token)
      expect(await use(service, token)).toBe(good)
    }
  })

  test('works after the token was used', async () => {
    const token = await issue(service)
    expect(await use(service, token)).toBe(good)
    expect(await revoke(service, token)).toMatchObject(REVOKED)
    await expectInactive(service, token)
    expect(await use(service, token)).toBe(refused)
  })

  test('holds until the token expires, and gives the same reply after that', async () => {
    const clock = createFrozenClock()
    await using service = await startService({ clock, configuration })
    const [token, other] = [await issue(service), await issue(service)]
    await revoke(service, token)
    clock.advance(lifetime)
    await expectInactive(service, token)
    await expectActive(service, other)
    expect(await use(service, token)).toBe(refused)
    clock.advance(1_000)
    for (const expired of [token, other]) {
      await expectInactive(service, expired)
      expect(await revoke(service, expired)).toMatchObject(REVOKED)
    }
  })

  test('ignores token_type_hint', async () => {
    for (const token_type_hint of ['access_token', 'refresh_token', 'made:up', '', '\0']) {
      const token = await issue(service)
      expect(await post(service, PATH, { token, token_type_hint }, { as: RESOURCE_SERVER })).toMatchObject(REVOKED)
      await expectInactive(service, token)
    }
  })

  test('accepts credentials in the form', async () => {
    const token = await issue(service)
    const { id, secret } = RESOURCE_SERVER
    expect(await post(service, PATH, { token, client_id: id, client_secret: secret })).toMatchObject(REVOKED)
    await expectInactive(service, token)
  })

  test('does nothing for unauthenticated callers', async () => {
    const token = await issue(service)
    const nobody = { id: RESOURCE_SERVER.id, secret: 'a wrong secret 5a1c' }
    expect((await post(service, PATH, { token }, { as: nobody })).status).toBe(401)
    expect((await post(service, PATH, { token })).status).toBe(401)
    await expectActive(service, token)
    expect(await use(service, token)).toBe(good)
  })

  test('takes effect in every other instance within a second', async () => {
    await using stores = await openTestStores()
    await using one = await startService({ configuration, stores })
    await using two = await startService({ configuration, stores })
    const token = await issue(one)
    await expectActive(two, token)
    await revoke(one, token)
    await expectInactive(one, token)
    await expect.poll(async () => (await introspect(two, token)).body).toBe(INACTIVE)
    expect(await use(two, token)).toBe(refused)
  })

  test('takes effect in an instance that starts later from its first request', async () => {
    await using stores = await openTestStores()
    const [token, other] = await (async () => {
      await using one = await startService({ configuration, stores })
      const tokens = [await issue(one), await issue(one)] as const
      await revoke(one, tokens[0])
      return tokens
    })()
    await using two = await startService({ configuration, stores })
    expect(await use(two, token)).toBe(refused)
    await expectInactive(two, token)
    await expectActive(two, other)
  })
})

test('revoking a nevisFIDO token sets its session to failed', async () => {
  const { token, sessionId } = await createToken(service, 'authentication')
  await revoke(service, token)
  expect(JSON.parse((await askStatus(service, sessionId)).body)).toMatchObject({ status: 'failed' })
})

describe('revocation with nothing to revoke', () => {
  const tokens: [what: string, token: string][] = [
    ['a letter', 'x'],
    ['a blank', ' '],
    ['dots', '..'],
    ['three parts', 'a.b.c'],
    ['JSON', '{}'],
    ['a name every object has', '__proto__'],
    ['an emoji', '💥'],
    ['NULs', '\0\0\0'],
    ['broken percent-encoding', '%zz'],
    ['a UUID', '00000000-0000-4000-8000-000000000000'],
    ['10,000 dots', '.'.repeat(10_000)],
    ['60 KB', 'x'.repeat(60_000)],
    ['a JWS without a signature', 'eyJhbGciOiJub25lIn0.e30.'],
    ['a JWS with another signature', 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA'],
  ]
  test.each(tokens)('answers like a success for %s', async (_what, token) => {
    expect(await revoke(service, token)).toMatchObject(REVOKED)
  })

  test('leaves the genuine token valid when an altered one is revoked', async () => {
    const token = await issueBws(service)
    const [header, payload, signature = ''] = token.split('.')
    for (const altered of [`${header}.${payload}.`, `${header}.${payload}.${[...signature].reverse().join('')}`]) {
      expect(await revoke(service, altered)).toMatchObject(REVOKED)
    }
    await expectActive(service, token)
  })

  test('leaves a nevisFIDO token valid when its session id is revoked', async () => {
    const { token, sessionId } = await createToken(service, 'authentication')
    expect(await revoke(service, sessionId)).toMatchObject(REVOKED)
    await expectActive(service, token)
  })
})

describe('authentication for revocation', () => {
  const { id, secret } = RESOURCE_SERVER
  const welcome: [what: string, authorization: string][] = [
    ['HTTP Basic', basic(id, secret)],
    ['HTTP Basic, form-urlencoded', oauthBasic(id, secret)],
  ]
  test.each(welcome)('accepts %s', async (_what, authorization) => {
    expect(await post(service, PATH, { token: 'x' }, { headers: { authorization } })).toMatchObject(REVOKED)
  })

  const unwelcome: [what: string, authorization: string | undefined, form: Record<string, string>][] = [
    ['no credentials', undefined, {}],
    ['a wrong secret', basic(id, 'a wrong secret 5a1c'), {}],
    ['an unknown id', basic('nobody', secret), {}],
    ['an invalid header', 'Basic ***', {}],
    ['Bearer', `Bearer ${basic(id, secret).slice('Basic '.length)}`, {}],
    ['an app of BWS', basic('app-1', APP_SECRET), {}],
    ['a client of nevisFIDO', basic(CLIENT.id, CLIENT.secret), {}],
    ['a wrong secret in the form', undefined, { client_id: id, client_secret: 'a wrong secret 5a1c' }],
    ['an id alone in the form', undefined, { client_id: id }],
  ]
  test.each(unwelcome)('rejects %s', async (_what, authorization, form) => {
    const headers = authorization === undefined ? {} : { authorization }
    const reply = await post(service, PATH, { token: 'x', ...form }, { headers })
    expect(reply).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="Trimint", charset="UTF-8"' },
    })
    expect(JSON.parse(reply.body)).toEqual({ error: 'invalid_client', error_description: expect.any(String) })
  })

  test('rejects credentials in header and form at once', async () => {
    const token = await issueBws(service)
    const reply = await post(service, PATH, { token, client_id: id, client_secret: secret }, { as: RESOURCE_SERVER })
    expect(reply.status).toBe(400)
    expect(JSON.parse(reply.body)).toEqual({
      error: 'invalid_request',
      error_description: expect.stringMatching(/^Send the credentials in the Authorization header or .*, not both\.$/),
    })
    await expectActive(service, token)
  })
})

describe('the revocation request', () => {
  const FORM = 'application/x-www-form-urlencoded'
  test.each([
    ['no token', FORM, '', 400],
    ['an empty token', FORM, 'token=', 400],
    ['a token twice', FORM, 'token=x&token=x', 400],
    ['a token that is not UTF-8', FORM, 'token=%ff', 400],
    ['JSON', 'application/json', '{"token":"x"}', 400],
    ['multipart', 'multipart/form-data; boundary=b', '--b--\r\n', 400],
    ['an invalid content type', ';;;', 'token=x', 400],
    ['64 KiB and a byte', FORM, `token=${'x'.repeat(65_531)}`, 413],
  ])('rejects a request with %s', async (_what, contentType, body, status) => {
    const headers = { 'content-type': contentType }
    const reply = await post(service, PATH, body, { headers, as: RESOURCE_SERVER })
    expect(reply.status).toBe(status)
    expect(JSON.parse(reply.body)).toEqual({ error: 'invalid_request', error_description: expect.any(String) })
  })

  test('revokes neither of two tokens in one request', async () => {
    const tokens = [await issueBws(service), await issueBws(service)]
    expect((await post(service, PATH, { token: tokens }, { as: RESOURCE_SERVER })).status).toBe(400)
    for (const token of tokens) await expectActive(service, token)
  })

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])(
    'with method %s is 405 and revokes nothing',
    async (method) => {
      const token = await issueBws(service)
      expect(await service.request(`${PATH}?token=${token}`, { method, as: RESOURCE_SERVER })).toMatchObject({
        status: 405,
        headers: { allow: 'POST', 'cache-control': 'no-store' },
      })
      await expectActive(service, token)
    },
  )
})

test('revocation logs nothing of the request', async () => {
  const marker = 'marker-that-no-log-of-revocation-may-hold'
  trackSecret(marker)
  await using service = await startService({ configuration })
  const tokens = [...(await Promise.all(kinds.map(({ issue }) => issue(service)))), marker]
  for (const token of tokens) {
    await post(service, PATH, { token, client_id: marker, client_secret: marker })
    await post(service, PATH, { token }, { as: { id: marker, secret: marker } })
    await post(service, PATH, { token, token_type_hint: marker, [marker]: marker }, { as: RESOURCE_SERVER })
    await post(service, `${PATH}?token=${token}`, { token }, { as: RESOURCE_SERVER })
  }
  const log = JSON.stringify(service.log)
  for (const text of [...tokens, RESOURCE_SERVER.secret, marker]) expect(log).not.toContain(text)
})

interface TestStores extends Stores, AsyncDisposable {
  /** The same stores without faults. */
  readonly sound: Stores
  /** Makes every step of these stores fail; of all stores by default. */
  lose(...names: StoreName[]): void
  /** Ends all faults. */
  find(): void
}

const STORE_NAMES = ['failures', 'tokens', 'revocations', 'uses', 'replicas', 'credentials'] as const
type StoreName = (typeof STORE_NAMES)[number]

async function openTestStores(): Promise<TestStores> {
  const stores = await openStores('sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
  const lost = new Set<StoreName>()

  function breakable<Name extends StoreName>(name: Name): Stores[Name] {
    return new Proxy(stores[name], {
      get(store, property) {
        const member: unknown = Reflect.get(store, property)
        if (typeof member !== 'function') return member
        return async (...words: unknown[]): Promise<unknown> => {
          if (lost.has(name)) throw new Error(`the store of ${name} is away`)
          return Reflect.apply(member, store, words)
        }
      },
    })
  }

  return {
    sound: stores,
    failures: breakable('failures'),
    tokens: breakable('tokens'),
    revocations: breakable('revocations'),
    uses: breakable('uses'),
    replicas: breakable('replicas'),
    credentials: breakable('credentials'),
    lose: (...names) => {
      for (const name of names.length > 0 ? names : STORE_NAMES) lost.add(name)
    },
    find: () => lost.clear(),
    close: () => stores.close(),
    [Symbol.asyncDispose]: () => stores.close(),
  }
}

describe('while the store is unavailable', () => {
  const LONGEST = 1_001

  async function start() {
    const clock = createFrozenClock()
    const stores = await openTestStores()
    const service = await startService({ clock, configuration, stores })
    const [bws = '', idscan = '', fido = ''] = await Promise.all(kinds.map(({ issue }) => issue(service)))
    return {
      clock,
      stores,
      service,
      tokens: { bws, idscan, fido },
      async [Symbol.asyncDispose]() {
        stores.find()
        await service.close()
        await stores.close()
      },
    }
  }

  type Setting = Awaited<ReturnType<typeof start>>
  type Ask = (setting: Setting) => Promise<Reply>

  const endpoints: [what: string, ask: Ask, status: number][] = [
    ['/introspect a BWS token', ({ service, tokens }) => introspect(service, tokens.bws), 200],
    ['/introspect an IDscan token', ({ service, tokens }) => introspect(service, tokens.idscan), 200],
    ['/introspect a nevisFIDO token', ({ service, tokens }) => introspect(service, tokens.fido), 200],
    ['/revoke a BWS token', ({ service, tokens }) => revoke(service, tokens.bws), 200],
    ['/revoke an IDscan token', ({ service, tokens }) => revoke(service, tokens.idscan), 200],
    ['/revoke a nevisFIDO token', ({ service, tokens }) => revoke(service, tokens.fido), 200],
  ]
  const gateways: [what: string, ask: Ask, status: number][] = [
    ['/authz/bws/upload', ({ service, tokens }) => checkBws(service, 'upload', tokens.bws), 200],
    ['/authz/bws/verify', ({ service, tokens }) => checkBws(service, 'verify', tokens.bws), 200],
    ['/authz/idscan/scanning', ({ service, tokens }) => checkIdscan(service, 'scanning', tokens.idscan), 200],
  ]

  const until = (ask: () => Promise<Reply>) => expect.poll(async () => (await ask()).status, { interval: 20 })

  test.each(endpoints)('%s is 503, and recovers without a restart', async (_what, ask, status) => {
    await using setting = await start()
    const { stores, clock } = setting
    stores.lose()
    clock.advance(LONGEST)
    const reply = await ask(setting)
    expect(reply).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect(JSON.parse(reply.body)).toEqual({ error: 'temporarily_unavailable', error_description: expect.any(String) })
    stores.find()
    await until(() => ask(setting)).toBe(status)
  })

  test.each(gateways)('%s is 503, and recovers without a restart', async (_what, ask, status) => {
    await using setting = await start()
    const { stores, clock } = setting
    expect((await ask(setting)).status).toBe(status)
    stores.lose()
    clock.advance(LONGEST)
    const reply = await ask(setting)
    expect(reply).toMatchObject({ status: 503, headers: { 'retry-after': '1', 'cache-control': 'no-store' } })
    expect(JSON.parse(reply.body)).toEqual({ Message: 'Temporarily unavailable. Try again later.' })
    stores.find()
    await until(() => ask(setting)).toBe(status)
  })

  test('revoking, counting a try and looking up a nevisFIDO token are 503 at once', async () => {
    await using setting = await start()
    const { service, stores, tokens } = setting
    stores.lose()
    for (const token of Object.values(tokens)) expect((await revoke(service, token)).status).toBe(503)
    expect((await introspect(service, tokens.fido)).status).toBe(503)
    expect((await introspect(service, tokens.bws)).status).toBe(503)
    expect((await checkBws(service, 'verify', tokens.bws)).status).toBe(503)
  })

  test('accepts a retry of a refused revocation', async () => {
    await using setting = await start()
    const { service, stores, tokens } = setting
    stores.lose()
    for (const token of Object.values(tokens)) expect((await revoke(service, token)).status).toBe(503)
    stores.find()
    for (const token of Object.values(tokens)) {
      await until(() => revoke(service, token)).toBe(200)
      await until(() => introspect(service, token)).toBe(200)
      await expectInactive(service, token)
    }
  })

  test('does not consume a try that could not be counted', async () => {
    await using setting = await start()
    const { service, stores, tokens } = setting
    stores.lose('uses')
    for (let count = 0; count < 5; count++) expect((await checkBws(service, 'verify', tokens.bws)).status).toBe(503)
    stores.find()
    const statuses = []
    for (let count = 0; count < 4; count++) statuses.push((await checkBws(service, 'verify', tokens.bws)).status)
    expect(statuses).toEqual([200, 200, 200, 403])
  })

  test('rejects every token that was revoked before', async () => {
    await using setting = await start()
    const { service, stores, clock, tokens } = setting
    await revoke(service, tokens.bws)
    await revoke(service, tokens.idscan)
    const statuses = async () => [
      (await checkIdscan(service, 'scanning', tokens.idscan)).status,
      (await checkBws(service, 'upload', tokens.bws)).status,
      (await checkBws(service, 'verify', tokens.bws)).status,
    ]
    stores.lose()
    for (const wait of [0, 500, LONGEST, 60_000]) {
      clock.advance(wait)
      for (const status of await statuses()) expect([401, 503]).toContain(status)
    }
    stores.find()
    await expect.poll(statuses).toEqual([401, 401, 401])
  })

  test('rejects every token afterwards that another instance revoked meanwhile', async () => {
    await using setting = await start()
    const { service, stores, clock, tokens } = setting
    await using other = await startService({ clock, configuration, stores: stores.sound })
    stores.lose('revocations')
    clock.advance(LONGEST)
    expect((await revoke(other, tokens.idscan)).status).toBe(200)
    expect((await checkIdscan(service, 'scanning', tokens.idscan)).status).toBe(503)
    stores.find()
    await until(() => checkIdscan(service, 'scanning', tokens.idscan)).toBe(401)
  })

  test('answers 503 after a start until it has read the revocations', async () => {
    await using setting = await start()
    const { service, stores, clock, tokens } = setting
    await revoke(service, tokens.idscan)
    stores.lose()
    await using started = await startService({ clock, configuration, stores })
    expect((await checkIdscan(started, 'scanning', tokens.idscan)).status).toBe(503)
    expect((await checkBws(started, 'upload', tokens.bws)).status).toBe(503)
    stores.find()
    await until(() => checkIdscan(started, 'scanning', tokens.idscan)).toBe(401)
    expect((await checkBws(started, 'upload', tokens.bws)).status).toBe(200)
  })

  test('/healthz is 200 and credentials are still checked', async () => {
    await using setting = await start()
    const { service, stores, clock } = setting
    stores.lose()
    clock.advance(LONGEST)
    expect((await service.request('/healthz')).status).toBe(200)
    expect((await post(service, PATH, { token: 'x' })).status).toBe(401)
    expect((await post(service, PATH, {}, { as: RESOURCE_SERVER })).status).toBe(400)
  })
})
