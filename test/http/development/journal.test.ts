import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import type { JournalRecord } from '../../../src/development/journal/schema.ts'
import { CALLER, getToken, QUERY } from '../../support/bws.ts'
import { control, latest, startDevelopment } from '../../support/development.ts'
import { LOGIN, login, PASSWORD } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { checkBws, introspect, issueBws, issueIdscan } from '../../support/lifecycle.ts'
import { askStatus, CLIENT, create, createToken, redeem } from '../../support/nevisfido.ts'
import { APP_SECRET, type Service } from '../../support/service.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

let service: Service
beforeAll(async () => {
  service = await startDevelopment({ clock: createFrozenClock() })
})
afterAll(() => service.close())
beforeEach(async () => {
  await control(service, 'POST', '/reset')
})

async function query(text: string): Promise<JournalRecord[]> {
  return (await control(service, 'GET', `/requests?${text}`)).json.requests as JournalRecord[]
}

test('L15: keeps a request whole, with the decision', async () => {
  await getToken(service, `${QUERY}&x=1&x=2`, { headers: { 'x-request-id': 'mine-1', 'x-mine': 'kept' } })
  expect(await latest(service)).toEqual({
    id: 'mine-1',
    time: new Date(FROZEN_TIME).toISOString(),
    method: 'GET',
    path: '/token',
    query: { id: 'app-1', bcid: 'bws.112.12345', x: ['1', '2'] },
    headers: expect.objectContaining({ 'x-mine': 'kept', authorization: 'Basic app-1:[redacted]' }),
    address: '127.0.0.1',
    status: 200,
    replyHeaders: expect.objectContaining({ 'x-request-id': 'mine-1', 'cache-control': 'no-store' }),
    duration: expect.any(Number),
    contract: 'bws',
    outcome: 'issued',
    app: 'app-1',
    tokenId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    injected: false,
  })
})

test('L15: keeps the decision about the response of a FIDO client', async () => {
  const { token } = await createToken(service, 'registration')
  await service.trimint.authenticator.register(token)
  expect(await query('outcome=answered&contract=nevisfido')).toMatchObject([
    {
      path: '/nevisfido/uaf/1.1/registration',
      operation: 'registration',
      tokenId: expect.stringMatching(/^[\w-]{43}$/),
    },
  ])
})

test('L15: keeps the last `control.journal` requests, not its own and not health', async () => {
  await using small = await startDevelopment({ configuration: { control: { journal: 3 } } })
  for (const id of ['1', '2', '3', '4', '5'])
    await small.request('/metrics-of-others', { headers: { 'x-request-id': id } })
  for (const path of ['/healthz', '/readyz', '/metrics', '/_trimint/faults', '/healthz?x', '/_trimint'])
    await small.request(path)
  const { requests } = (await control(small, 'GET', '/requests')).json as { requests: JournalRecord[] }
  expect(requests.map(({ id }) => id)).toEqual(['5', '4', '3'])
  await using none = await startDevelopment({ configuration: { control: { journal: 0 } } })
  await none.request('/nowhere')
  expect((await control(none, 'GET', '/requests')).json).toEqual({ requests: [] })
})

describe.each(['/%zz', '/token/%ff?a=b', '/authz/bws/%c3'])('the path %s, which cannot be decoded', (path) => {
  test('L7, L15: is in the journal, and told what time it is', async () => {
    await control(service, 'PATCH', '/clock', { advance: '1h' })
    const { status, headers } = await service.request(path)
    expect({ status, now: headers['x-trimint-now'] }).toEqual({
      status: 404,
      now: new Date(FROZEN_TIME + 3_600_000).toISOString(),
    })
    expect(await latest(service)).toMatchObject({ path: path.replace(/\?.*/, ''), status: 404 })
  })

  test('L9: meets faults', async () => {
    await control(service, 'POST', '/faults', { then: { status: 418 } })
    expect((await service.request(path)).status).toBe(418)
  })
})

describe('L15: survives whatever a client sends', () => {
  const encode = (json: string) => Buffer.from(json).toString('base64url')
  const sign = (claims: string) => `${encode('{"alg":"HS256","typ":"JWT"}')}.${encode(claims)}.c2lnbmF0dXJl`

  test.each([
    ['a jti that is no text', '{"jti":{"toString":null,"valueOf":null}}'],
    ['a tokenid that is no text', '{"tokenid":{"toString":null,"valueOf":null}}'],
    ['claims too deep for JSON.stringify', `{"a":${'['.repeat(12_000)}${']'.repeat(12_000)}}`],
  ])('and shows a token with %s, while the console follows too', async (_name, claims) => {
    const request = get(`${service.url}/_trimint/requests/stream`)
    const [stream] = (await once(request, 'response')) as [IncomingMessage]
    const token = sign(claims)
    expect((await checkBws(service, 'verify', token)).status).toBe(401)
    const [data] = await once(stream, 'data')
    expect(String(data)).toMatch(/^data: /)
    stream.destroy()
    expect(await query('')).toMatchObject([{ path: '/authz/bws/verify', reason: 'invalid_token' }])
  })

  // With quadratic time, it would take longer than a test may.
  test('and shows a query that repeats a name 23,000 times', async () => {
    await service.request(`/nowhere?${'a&'.repeat(23_000)}`, { headers: { 'x-request-id': 'repeated' } })
    for (let read = 0; read < 10; read++) {
      const { json } = await control(service, 'GET', '/requests/repeated')
      expect((json.query as Record<string, unknown>).a).toHaveLength(23_000)
    }
  })
})

describe('L4: no secret leaves by it', () => {
  test('in no place of a request and its reply', async () => {
    const bws = await issueBws(service)
    const idscan = await issueIdscan(service)
    const { token, sessionId } = await createToken(service, 'registration')
    await redeem(service, 'registration', token)
    await askStatus(service, sessionId)
    await checkBws(service, 'verify', bws)
    await introspect(service, bws)
    await create(service, 'registration', { as: CLIENT })
    await service.request('/authz/idscan/scanning', { headers: { cookie: `other=1; token=${idscan}` } })
    // Beside named cookies, I28 also allows one without a name.
    await service.request('/authz/idscan/scanning', { headers: { cookie: `other=1; ${idscan}` } })
    await service.request('/authz/idscan/scanning', { headers: { cookie: `${idscan}; other=1` } })
    await service.request('/authz/idscan/scanning', { headers: { authorization: idscan } })
    // Secrets in wrong places.
    await getToken(service, `id=${encodeURIComponent(APP_SECRET)}&bcid=${bws}&password=${encodeURIComponent(PASSWORD)}`)
    await login(service, { ...LOGIN, username: PASSWORD })
    await service.request(`/nowhere/${encodeURIComponent(APP_SECRET)}/${bws}?${idscan}&${encodeURIComponent(PASSWORD)}`)
    await login(service, `${encodeURIComponent(PASSWORD)}=1`)
    await create(service, 'registration', { body: JSON.stringify({ [APP_SECRET]: { [bws]: 1 } }) })
    await service.request('/nowhere', {
      headers: { 'x-debug': APP_SECRET, 'x-api-key': 'k', referer: `http://a/?t=${bws}` },
    })
    const { body } = await control(service, 'GET', '/requests')
    for (const secret of [
      APP_SECRET,
      PASSWORD,
      CLIENT.secret,
      bws,
      idscan,
      token,
      sessionId,
      bws.split('.')[2] ?? '',
    ]) {
      expect(body.includes(secret), secret).toBe(false)
      expect(body.includes(encodeURIComponent(secret)), secret).toBe(false)
      expect(body.includes(Buffer.from(`${CALLER.id}:${secret}`).toString('base64')), secret).toBe(false)
    }
  })

  test.each([
    ['a cookie without a name', (secret: string) => ({ headers: { cookie: `${secret}; other=1` } })],
    ['a cookie in quotes', (secret: string) => ({ headers: { cookie: `other="1;${secret}"` } })],
    ['the place of the scheme', (secret: string) => ({ headers: { authorization: `${secret} Bearer` } })],
    [
      'an Authorization that a proxy renamed',
      (secret: string) => ({ headers: { 'x-authorization': `Basic ${secret}` } }),
    ],
    ['the query of a Referer', (secret: string) => ({ headers: { referer: `http://a/b?c=d&password=${secret}` } })],
    [
      'a token in the query of X-Original-URI',
      (secret: string) => ({ headers: { 'x-original-uri': `/?token=${secret}` } }),
    ],
    ['the credentials of a URL', (secret: string) => ({ headers: { origin: `http://id:${secret}@a` } })],
    ['a matrix parameter', (secret: string) => ({ path: `/nowhere;secret=${secret}` })],
    ['a URL in place of the path', (secret: string) => ({ path: `http://id:${secret}@localhost/nowhere` })],
    [
      'an unknown name in the query of a URL',
      () => ({ headers: { referer: `/?x=${encodeURIComponent(APP_SECRET)}` } }),
    ],
  ])('L4: nor from %s', async (_name, put) => {
    const secret = Buffer.from(`id:${APP_SECRET}`).toString('base64url')
    trackSecret(secret)
    const { path = '/nowhere', headers = {} } = put(secret) as { path?: string; headers?: Record<string, string> }
    await service.request(path, { headers })
    const { body } = await control(service, 'GET', '/requests')
    expect(body).toContain('nowhere')
    expect(body).not.toContain(secret)
    expect(body).not.toContain(encodeURIComponent(APP_SECRET))
  })

  test('L4: nor from a number, or from what a member with the name of a secret contains', async () => {
    await create(service, 'registration', { body: '{"password":12345678,"secret":{"value":"hidden"},"other":{"n":7}}' })
    expect((await latest(service)).body).toEqual({
      password: '[redacted]',
      secret: { value: '[redacted]' },
      other: { n: 7 },
    })
  })

  test('a signed token is shown as its id and claims', async () => {
    const token = await issueBws(service)
    await checkBws(service, 'verify', token)
    const record = await latest(service)
    expect(record.token).toMatchObject({ id: record.tokenId, claims: { app: 'app-1', iss: 'BWS' } })
    expect(record.headers.authorization).toBe(`Bearer [token ${record.tokenId}]`)
  })

  test('the configuration is shown without the credentials of its URLs', async () => {
    await using other = await startDevelopment({
      configuration: { store: 'redis://id:one@two three@127.0.0.1:1/0' },
      stores: service.stores,
    })
    const bearer = { issuer: 'i', audience: 'a', jwksUrl: 'https://a.example/keys?x=1&token=six' }
    expect((await control(other, 'PATCH', '/configuration', { nevisfido: { bearer } })).status).toBe(200)
    const { json } = await control(other, 'GET', '/configuration')
    expect(json).toMatchObject({
      store: 'redis://[redacted]@127.0.0.1:1/0',
      nevisfido: {
        bearer: { jwksUrl: expect.stringMatching(/^https:\/\/a.example\/keys\?x=1&token=\[token /) },
      },
    })
  })

  test('the configuration is shown without secrets', async () => {
    const { body, json } = await control(service, 'GET', '/configuration')
    expect(body).not.toContain(APP_SECRET)
    expect(json).toMatchObject({
      bws: { apps: [{ id: 'app-1', secret: '[redacted]' }] },
      keys: [{ secret: '[redacted]' }],
    })
  })
})

describe('L17: finds requests', () => {
  beforeEach(async () => {
    await getToken(service, QUERY, { headers: { 'x-request-id': 'a' } })
    await getToken(service, QUERY, { as: { id: CALLER.id, secret: 'wrong-secret' }, headers: { 'x-request-id': 'b' } })
    await control(service, 'PATCH', '/clock', { advance: '1m' })
    await login(service, LOGIN, { headers: { 'x-request-id': 'c' } })
    await service.request('/nowhere/x', { headers: { 'x-request-id': 'd/e+f' } })
  })

  test.each([
    ['', ['d/e+f', 'c', 'b', 'a']],
    ['limit=2', ['d/e+f', 'c']],
    ['contract=bws', ['b', 'a']],
    ['outcome=refused', ['b']],
    ['outcome=answered', ['d/e+f']],
    ['reason=bad_secret', ['b']],
    ['path=/token', ['b', 'a']],
    ['path=/nowhere/*', ['d/e+f']],
    [`since=${new Date(FROZEN_TIME + 1).toISOString()}`, ['d/e+f', 'c']],
    ['contract=idscan&outcome=refused', []],
  ])('by "%s"', async (text, ids) => {
    expect((await query(text)).map(({ id }) => id)).toEqual(ids)
  })

  test('by id, and not after DELETE', async () => {
    const path = `/requests/${encodeURIComponent('d/e+f')}`
    expect((await control(service, 'GET', path)).json).toMatchObject({ id: 'd/e+f', path: '/nowhere/x' })
    expect((await control(service, 'DELETE', '/requests')).status).toBe(204)
    expect((await control(service, 'GET', path)).status).toBe(404)
    expect(await query('')).toEqual([])
  })

  test.each(['contract=saml', 'limit=0', 'since=yesterday', 'wait=long', 'count=-1', 'color=red'])(
    'L2: refuses "%s" and says what is allowed',
    async (text) => {
      const { status, json } = await control(service, 'GET', `/requests?${text}`)
      expect({ status, error: json.error }).toEqual({ status: 400, error: 'invalid_request' })
      expect(json.error_description).toMatch(/expected /)
    },
  )
})

describe('L17: a client cannot make a list large', () => {
  const send = (id: string, size: number) =>
    service.request('/nowhere?a=b', { headers: { 'x-request-id': id, 'x-large': 'x'.repeat(size) } })

  test('a large request is brief in lists and in the stream, and whole by its id', async () => {
    const [stream] = (await once(get(`${service.url}/_trimint/requests/stream`), 'response')) as [IncomingMessage]
    await send('large', 17_000)
    const [data] = await once(stream, 'data')
    stream.destroy()
    const { headers, replyHeaders, ...rest } = await latest(service)
    expect({ headers, replyHeaders, rest }).toMatchObject({
      headers: {},
      replyHeaders: {},
      rest: { id: 'large', path: '/nowhere', status: 404, outcome: 'answered', brief: true },
    })
    expect(rest).not.toHaveProperty('query')
    expect(JSON.parse(String(data).slice('data: '.length))).toEqual({ headers, replyHeaders, ...rest })
    const { json } = await control(service, 'GET', '/requests/large')
    expect(json).toMatchObject({ query: { a: 'b' }, headers: { 'x-large': 'x'.repeat(17_000) } })
    expect(json).not.toHaveProperty('brief')
  })

  test('beyond 4 MiB in all, the oldest requests are brief', async () => {
    for (let sent = 0; sent < 300; sent++) await send('one', 15_000)
    const briefs = (await query('limit=1000')).map(({ brief }) => brief ?? false)
    expect(briefs).toHaveLength(300)
    expect(briefs.indexOf(true)).toBeGreaterThan(260)
    expect(briefs.lastIndexOf(false)).toBeLessThan(briefs.indexOf(true))
  })

  test('a path of more than 1,000 characters is cut between its segments', async () => {
    await service.request(`/nowhere/${`${encodeURIComponent(APP_SECRET)}/`.repeat(100)}`)
    const { path } = await latest(service)
    expect(path).toMatch(/^\/nowhere\/(?:\[redacted\]\/){2,}…$/)
  })
})

describe('L18: waits for requests', () => {
  test('answers as soon as so many fit', async () => {
    await getToken(service, QUERY)
    const waiting = fetch(`${service.url}/_trimint/requests?count=3&wait=1m&contract=bws`)
    await login(service)
    await getToken(service, QUERY)
    await getToken(service, QUERY)
    const { requests } = (await (await waiting).json()) as { requests: JournalRecord[] }
    expect(requests.map(({ contract }) => contract)).toEqual(['bws', 'bws', 'bws'])
  })

  test('answers at the end of the wait with what there is', async () => {
    await getToken(service, QUERY)
    expect(await query('count=2&wait=50ms')).toHaveLength(1)
  })

  test('answers 503 to more than 100 waits at a time, and forgets those whose client has left', async () => {
    const path = `${service.url}/_trimint/requests?wait=1m&count=9`
    const leaving = new AbortController()
    // A few more, as the request below may take the place of one.
    const waits = Array.from({ length: 110 }, () => fetch(path, { signal: leaving.signal }).catch(() => undefined))
    await expect.poll(async () => (await control(service, 'GET', '/requests?count=9&wait=1ms')).status).toBe(503)
    leaving.abort()
    await Promise.all(waits)
    await expect.poll(async () => (await control(service, 'GET', '/requests?count=9&wait=1ms')).status).toBe(200)
  })

  test('ends the wait of a client that leaves', async () => {
    let followers = 0
    let receive: (message: unknown) => Promise<unknown> = async () => undefined
    await using trimint = await startTrimint({
      peers: {
        receive(handler) {
          receive = handler
        },
        async broadcast(message) {
          const { command, args } = message as { command: string; args: unknown }
          if (command === 'journal.follow') followers += Number(args)
          return [await receive(message)]
        },
      },
    })
    const leaving = new AbortController()
    const waiting = fetch(`${trimint.url}/_trimint/requests?wait=10m`, { signal: leaving.signal })
    await expect.poll(() => followers).toBe(1)
    leaving.abort()
    await expect(waiting).rejects.toThrow()
    await expect.poll(() => followers).toBe(0)
  })

  test('ends the wait when Trimint closes', async () => {
    const closing = await startDevelopment()
    const waiting = closing.trimint.waitForRequests({ wait: '10m' })
    await closing.trimint.close()
    expect(await waiting).toEqual([])
    await closing.close()
  })
})

describe('L19: streams requests', () => {
  async function open(text = ''): Promise<IncomingMessage> {
    const request = get(`${service.url}/_trimint/requests/stream?${text}`)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return response.setEncoding('utf8')
  }

  test('as server-sent events, from the moment it is opened', async () => {
    await login(service)
    const stream = await open('contract=bws')
    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    await login(service)
    await getToken(service, QUERY, { headers: { 'x-request-id': 'streamed' } })
    const [data] = (await once(stream, 'data')) as [string]
    expect(data).toMatch(/^data: \{.*\}\n\n$/)
    expect(JSON.parse(data.slice('data: '.length))).toMatchObject({ id: 'streamed', contract: 'bws' })
    stream.destroy()
  })

  test.each([
    ['DELETE', '/requests', undefined],
    ['POST', '/reset', { only: ['journal'] }],
  ] as const)('L19: tells its readers that %s %s emptied the journal', async (method, path, body) => {
    const stream = await open()
    await control(service, method, path, body)
    expect(await once(stream, 'data')).toEqual(['event: emptied\ndata: {}\n\n'])
    stream.destroy()
  })

  test('L19: ends its reply to HEAD, so that the connection answers further requests', async () => {
    const request = (method: string, path: string) => `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n`
    const socket = connect(service.port, '127.0.0.1').setEncoding('utf8')
    const further = `${request('GET', '/_trimint/clock')}Connection: close\r\n\r\n`
    socket.write(`${request('HEAD', '/_trimint/requests/stream')}\r\n${further}`)
    expect((await socket.toArray()).join('')).toMatch(/^HTTP\/1.1 200 .*text\/event-stream.*HTTP\/1.1 200 .*"now"/s)
  })
})
