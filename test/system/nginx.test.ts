import { createHash, randomBytes } from 'node:crypto'
import { type Dispatcher, Pool } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CALLER, QUERY } from '../support/bws.ts'
import { ACCOUNT, encodeForm, LOGIN, PATH as LOGIN_PATH } from '../support/idscan.ts'
import { type Deployment, deploy, type Instance } from '../support/instances.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { type Echo, type StartedNginx, startEchoBackend, startNginx } from '../support/nginx.ts'
import { hasProgram } from '../support/programs.ts'
import { APP, basic, type Reply, type RequestOptions } from '../support/service.ts'

// A real nginx runs the example configuration, between a real Trimint and a backend that echoes each request.

const FULL_NAME = 'PSC ü%'
const RESOURCE_SERVER = { id: 'api', secret: 'resource server secret 7f3a' }

const UPLOAD = '/idscan/upload/documents'
const RETRIEVAL = '/idscan/retrieval/journeys/1'

/** The names of Trimint's identity headers. */
const IDENTITY = ['token-id', 'subject', 'client', 'bcid', 'task', 'tries-left', 'name', 'role', 'area', 'tenant']

/** Trimint, and nginx in front of a backend. */
interface Site extends AsyncDisposable {
  readonly trimint: Instance
  readonly nginx: StartedNginx
  /** Sends through nginx. */
  request(path: string, options?: RequestOptions): Promise<Reply>
  /** Sends to Trimint itself. */
  ask(path: string, options?: RequestOptions): Promise<Reply>
}

async function startSite<Started extends Instance>(start: (deployment: Deployment) => Promise<Started>) {
  await using parts = new AsyncDisposableStack()
  const deployment = parts.use(
    await deploy(undefined, {
      idscan: { accounts: [{ ...ACCOUNT, fullName: FULL_NAME }] },
      resourceServers: [{ id: RESOURCE_SERVER.id, secret: `plain:${RESOURCE_SERVER.secret}` }],
    }),
  )
  const trimint = await start(deployment)
  const backend = parts.use(await startEchoBackend())
  const nginx = parts.use(await startNginx({ trimint: new URL(trimint.url).host, backend: backend.address }))
  const connect = (origin: string): Pool => parts.adopt(new Pool(origin), (pool) => pool.destroy())
  const pools = { nginx: connect(nginx.url), trimint: connect(trimint.url) }

  const started = parts.move()
  return {
    trimint,
    nginx,
    request: (path: string, options?: RequestOptions) => send(pools.nginx, path, options),
    ask: (path: string, options?: RequestOptions) => send(pools.trimint, path, options),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  } satisfies Site & { trimint: Started }
}

/** Sends a path unchanged. */
async function send(
  pool: Pool,
  path: string,
  { method = 'GET', headers = {}, body, as }: RequestOptions = {},
): Promise<Reply> {
  const response = await pool.request({
    path,
    method: method as Dispatcher.HttpMethod,
    headers: { ...headers, ...(as ? { authorization: basic(as.id, as.secret) } : {}) },
    ...(body === undefined ? {} : { body }),
  })
  return { status: response.statusCode, headers: response.headers, body: await response.body.text() }
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

async function issueBws(site: Site, query = ''): Promise<string> {
  const { body } = await site.ask(`/token?${QUERY}${query}`, { as: CALLER })
  trackSecret(body)
  return body
}

async function logIn(site: Site, area: string): Promise<string> {
  const { body } = await site.ask(LOGIN_PATH, { method: 'POST', body: encodeForm({ ...LOGIN, area }), headers: FORM })
  const { access_token: token } = JSON.parse(body) as { access_token: string }
  trackSecret(token)
  return token
}

const bearer = (token: string): RequestOptions => ({ headers: { authorization: `Bearer ${token}` } })

/** Returns the token with another signature. */
function alter(token: string): string {
  const [header, payload, signature = ''] = token.split('.')
  return [header, payload, `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`].join('.')
}

const echoOf = ({ status, body }: Reply): Echo => {
  expect(status, body).toBe(200)
  return JSON.parse(body) as Echo
}

/** Returns every header that a backend could take for an identity. */
const identityIn = ({ headers }: Echo): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => /trimint/i.test(name)))

const statusesOf = (replies: readonly Reply[]): number[] => replies.map(({ status }) => status)

const BWS_401 = {
  status: 401,
  body: '{"Message":"Unauthorized"}',
  headers: { 'www-authenticate': 'Bearer realm="BWS"', 'content-type': 'application/json; charset=utf-8' },
}
const BWS_403 = {
  status: 403,
  body: '{"Message":"The token is for another task, or its tries are used up."}',
  headers: { 'content-type': 'application/json; charset=utf-8' },
}
const IDSCAN_401 = {
  status: 401,
  body: '{"Message":"Authorization has been denied for this request."}',
  headers: { 'www-authenticate': 'Bearer', 'content-type': 'application/json;charset=UTF-8' },
}
const IDSCAN_403 = {
  status: 403,
  body: '{"Message":"The token is for another area."}',
  headers: { 'content-type': 'application/json;charset=UTF-8' },
}
const CLOSED = {
  status: 503,
  body: '{"Message":"Temporarily unavailable. Try again later."}',
  headers: { 'retry-after': '1' },
}

describe.skipIf(!hasProgram('nginx'))('nginx with the example configuration', () => {
  let site: Site
  beforeAll(async () => {
    site = await startSite((deployment) => deployment.start())
  })
  afterAll(() => site[Symbol.asyncDispose]())

  test('B33, B35: passes three verifications of a token and refuses the fourth; uploads consume no try', async () => {
    const token = bearer(await issueBws(site))
    const upload = () => site.request('/bws/upload', { ...token, method: 'POST', body: 'picture' })
    const verify = () => site.request('/bws/verify', token)
    for (let count = 0; count < 5; count++) expect(identityIn(echoOf(await upload()))).toHaveProperty('x-trimint-task')
    for (const left of ['2', '1', '0']) {
      expect(identityIn(echoOf(await verify()))).toMatchObject({ 'x-trimint-tries-left': left })
    }
    expect(await verify()).toMatchObject(BWS_403)
    expect((await upload()).status).toBe(200)
  })

  test('B35: passes three of ten parallel verifications', async () => {
    const token = bearer(await issueBws(site))
    const replies = await Promise.all(Array.from({ length: 10 }, () => site.request('/bws/verify', token)))
    expect(statusesOf(replies).toSorted()).toEqual([200, 200, 200, ...Array(7).fill(403)])
  })

  test.each(['verify', 'identify', 'enroll', 'livenessdetection'])(
    'B33: passes a token for %s to its own API alone',
    async (task) => {
      const token = bearer(await issueBws(site, `&task=${task}&maxtries=1`))
      for (const other of ['verify', 'identify', 'enroll', 'livenessdetection']) {
        if (other !== task) expect(await site.request(`/bws/${other}`, token)).toMatchObject(BWS_403)
      }
      expect(echoOf(await site.request(`/bws/${task}`, token))).toMatchObject({ path: `/bws/${task}` })
    },
  )

  test('I31: passes a scanning token to upload alone, an investigation token to retrieval alone', async () => {
    const scanning = bearer(await logIn(site, 'scanning'))
    const investigation = bearer(await logIn(site, 'investigation'))
    expect(echoOf(await site.request(UPLOAD, scanning))).toMatchObject({ path: UPLOAD })
    expect(await site.request(RETRIEVAL, scanning)).toMatchObject(IDSCAN_403)
    expect(echoOf(await site.request(RETRIEVAL, investigation))).toMatchObject({ path: RETRIEVAL })
    expect(await site.request(UPLOAD, investigation)).toMatchObject(IDSCAN_403)
  })

  test.each([
    '/idscan/upload/../retrieval/1',
    '/idscan/upload/%2e%2e/retrieval/1',
    '/idscan/upload/..%2Fretrieval/1',
    '//idscan//upload//..//retrieval/1',
  ])('I31: keeps a token in its area for %s, and the backend gets the path that was checked', async (path) => {
    expect(await site.request(path, bearer(await logIn(site, 'scanning')))).toMatchObject(IDSCAN_403)
    const echo = echoOf(await site.request(`${path}?x=%2F1`, bearer(await logIn(site, 'investigation'))))
    expect(echo).toMatchObject({ path: '/idscan/retrieval/1?x=%2F1' })
  })

  test('B34: refuses a missing token, an altered one and one of another contract as the vendor does', async () => {
    const altered = alter(await issueBws(site))
    trackSecret(altered)
    expect(await site.request('/bws/verify')).toMatchObject(BWS_401)
    expect(await site.request('/bws/verify', bearer(altered))).toMatchObject(BWS_401)
    expect(await site.request('/bws/upload', bearer(await logIn(site, 'scanning')))).toMatchObject(BWS_401)
  })

  test('I30: refuses a missing token, an altered one and one of another contract as the vendor does', async () => {
    const altered = alter(await logIn(site, 'scanning'))
    trackSecret(altered)
    expect(await site.request(UPLOAD)).toMatchObject(IDSCAN_401)
    expect(await site.request('/idscan/upload/picture.png')).toMatchObject(IDSCAN_401)
    expect(await site.request(UPLOAD, bearer(altered))).toMatchObject(IDSCAN_401)
    expect(await site.request(UPLOAD, bearer(await issueBws(site)))).toMatchObject(IDSCAN_401)
  })

  test('I28: accepts the token from a cookie, but not in place of a bad header', async () => {
    const token = await logIn(site, 'scanning')
    const cookie = `token=${token}`
    expect((await site.request(UPLOAD, { headers: { cookie } })).status).toBe(200)
    expect((await site.request(UPLOAD, { headers: { cookie: token } })).status).toBe(200)
    const large = `a=${'x'.repeat(32_768 - 4 - cookie.length)}; ${cookie}`
    expect((await site.request(UPLOAD, { headers: { cookie: large } })).status).toBe(200)
    expect((await site.request(UPLOAD, { headers: { authorization: token } })).status).toBe(200)
    expect(await site.request(RETRIEVAL, { headers: { cookie } })).toMatchObject(IDSCAN_403)
    const both = { cookie, authorization: 'Bearer nonsense' }
    expect(await site.request(UPLOAD, { headers: both })).toMatchObject(IDSCAN_401)
  })

  /** Forged identity headers, in both spellings that backends may treat as equal. */
  const forged = Object.fromEntries(
    IDENTITY.flatMap((name) => [`X-Trimint-${name}`, `X_Trimint_${name}`]).map((name) => [name, 'forged']),
  )

  test('sends the BWS identity to the backend and drops identity headers of the client', async () => {
    const { headers: credentials } = bearer(await issueBws(site))
    const verified = echoOf(await site.request('/bws/verify', { headers: { ...forged, ...credentials } }))
    expect(identityIn(verified)).toEqual({
      'x-trimint-token-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'x-trimint-subject': APP.id,
      'x-trimint-client': APP.client,
      'x-trimint-bcid': 'bws/112/12345',
      'x-trimint-task': 'verify',
      'x-trimint-tries-left': '2',
    })
    const uploaded = echoOf(await site.request('/bws/upload', { headers: { ...forged, ...credentials } }))
    const { 'x-trimint-tries-left': _, ...others } = identityIn(verified)
    expect(identityIn(uploaded)).toEqual(others)
  })

  test('passes a long identity on, so that no try is lost to a buffer', async () => {
    const storage = 's'.repeat(5_000)
    const query = `id=${APP.id}&bcid=${storage}.1.2`
    const { body } = await site.ask(`/token?${query}`, { as: CALLER })
    trackSecret(body)
    const echo = echoOf(await site.request('/bws/verify', bearer(body)))
    expect(identityIn(echo)).toMatchObject({ 'x-trimint-bcid': `${storage}/1/2`, 'x-trimint-tries-left': '2' })
  })

  test('sends the IDscan identity to the backend and drops identity headers of the client', async () => {
    const { headers: credentials } = bearer(await logIn(site, 'scanning'))
    const echo = echoOf(await site.request(UPLOAD, { headers: { ...forged, ...credentials } }))
    expect(identityIn(echo)).toEqual({
      'x-trimint-token-id': expect.stringMatching(/./),
      'x-trimint-subject': 'psc',
      'x-trimint-name': encodeURIComponent(FULL_NAME),
      'x-trimint-role': 'SuperAdministrator',
      'x-trimint-area': 'scanning',
      'x-trimint-tenant': 'IDscan',
    })
    expect(decodeURIComponent(echo.headers['x-trimint-name'] ?? '')).toBe(FULL_NAME)
  })

  test('passes on the token and a body of several megabytes unchanged', async () => {
    const token = await issueBws(site)
    const body = randomBytes(5_000_000)
    const sha256 = createHash('sha256').update(body).digest('hex')
    const options = { ...bearer(token), method: 'POST', body }
    const echo = echoOf(await site.request('/bws/upload', options))
    expect(echo).toMatchObject({ method: 'POST', bytes: body.length, sha256 })
    expect(echo.headers.authorization).toBe(`Bearer ${token}`)
    expect(await site.request('/bws/upload', { method: 'POST', body })).toMatchObject(BWS_401)
  })

  test('B34: refuses a revoked token', async () => {
    for (const [token, path, denial] of [
      [await issueBws(site), '/bws/upload', BWS_401],
      [await logIn(site, 'scanning'), UPLOAD, IDSCAN_401],
    ] as const) {
      expect((await site.request(path, bearer(token))).status).toBe(200)
      const revocation = { method: 'POST', body: encodeForm({ token }), headers: FORM, as: RESOURCE_SERVER }
      expect((await site.ask('/revoke', revocation)).status).toBe(200)
      expect(await site.request(path, bearer(token))).toMatchObject(denial)
    }
  })

  test('exposes only protected APIs: neither the checks nor paths without a location', async () => {
    const token = bearer(await issueBws(site))
    for (const path of ['/authz/bws/upload', '/bws/', '/bws/Verify', '/bws/verify/1', '/idscan/', '/introspect']) {
      expect((await site.request(path, token)).status, path).toBe(404)
    }
  })

  test('logs one request id everywhere, and neither token nor query', async () => {
    const { headers: credentials } = bearer(await issueBws(site))
    const headers = { ...credentials, 'x-request-id': 'of-the-client' }
    const echo = echoOf(await site.request('/bws/verify?secret=of-the-query', { headers }))
    const id = echo.headers['x-request-id'] ?? ''
    expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(site.trimint.log()).toMatch(new RegExp(`"event":"token.used".*"requestId":"${id}"`))
    const log = await site.nginx.log()
    expect(log).toMatch(new RegExp(`"GET /bws/verify" 200 .* ${id}$`, 'm'))
    expect(log).not.toMatch(/eyJ|of-the-query/)
  })
})

describe.skipIf(!hasProgram('nginx'))('nginx in front of an unavailable Trimint', () => {
  test.each(['SIGKILL', 'SIGSTOP'] as const)('refuses every request (%s)', async (signal) => {
    await using site = await startSite((deployment) => deployment.startProcess())
    const token = bearer(await issueBws(site))
    const login = bearer(await logIn(site, 'scanning'))
    expect((await site.request('/bws/upload', token)).status).toBe(200)
    process.kill(site.trimint.pid, signal)
    const replies = await Promise.all([
      site.request('/bws/upload', token),
      site.request('/bws/verify', token),
      site.request(UPLOAD, login),
      site.request(UPLOAD),
    ])
    for (const reply of replies) expect(reply).toMatchObject(CLOSED)
  })
})
