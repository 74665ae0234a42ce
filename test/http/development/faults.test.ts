import { createConnection } from 'node:net'
import { performance } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CALLER, getToken, QUERY } from '../../support/bws.ts'
import { control, latest, startDevelopment } from '../../support/development.ts'
import { encodeForm, jsonOf, LOGIN, login } from '../../support/idscan.ts'
import { checkBws, checkIdscan, introspect, issueBws, issueIdscan, RESOURCE_SERVER } from '../../support/lifecycle.ts'
import { codeOf, create, createToken, redeem } from '../../support/nevisfido.ts'
import { basic, type Service } from '../../support/service.ts'

let service: Service
beforeAll(async () => {
  service = await startDevelopment()
})
afterAll(() => service.close())
beforeEach(async () => {
  await control(service, 'POST', '/reset')
})

const add = (fault: unknown) => control(service, 'POST', '/faults', fault)
const list = async () => (await control(service, 'GET', '/faults')).json.faults

test('L8: adds, lists and deletes faults, and counts how often each was met', async () => {
  const fault = { match: { contract: 'bws' }, times: 2, then: { reason: 'blocked' } }
  const { status, json } = await add(fault)
  expect({ status, json }).toEqual({ status: 201, json: { id: expect.any(String), ...fault, met: 0 } })
  expect((await getToken(service, QUERY)).status).toBe(429)
  expect(await list()).toEqual([{ ...json, met: 1 }])
  expect((await control(service, 'DELETE', `/faults/${json.id}`)).status).toBe(204)
  expect((await control(service, 'DELETE', `/faults/${json.id}`)).status).toBe(404)
  await add(fault)
  await add(fault)
  expect((await control(service, 'DELETE', '/faults')).status).toBe(204)
  expect(await list()).toEqual([])
  expect((await getToken(service, QUERY)).status).toBe(200)
})

describe('L8: refuses a faulty fault, and says what is allowed', () => {
  test.each([
    [{}, /^then: missing value/],
    [{ then: {} }, /^then: no effect; expected delay, or one of reason, status, connection, store$/],
    [{ then: { reason: 'tired' } }, /^then\.reason: invalid value; expected one of method_not_allowed, /],
    [
      { match: { contract: 'bws' }, then: { reason: 'token_spent' } },
      /^then\.reason: bws has no reply for token_spent; expected one of method_not_allowed, missing_authorization, /,
    ],
    [{ match: { app: 'app-1' }, then: { reason: 'bad_password' } }, /^then\.reason: bws has no reply for bad_password/],
    [
      { match: { account: 'psc' }, then: { reason: 'bad_secret' } },
      /^then\.reason: idscan has no reply for bad_secret/,
    ],
    [
      { match: { path: '/nevisfido/*' }, then: { reason: 'wrong_task' } },
      /^then\.reason: nevisfido has no reply for wrong_task/,
    ],
    [
      { match: { contract: 'service' }, then: { reason: 'no_signing_key' } },
      /^then\.reason: service has no reply for no_signing_key; expected one of .*internal_error$/,
    ],
    [{ then: { reason: 'blocked', status: 500 } }, /reason and status together/],
    [{ then: { status: 99 } }, /^then\.status: invalid value; expected a whole number from 200 to 599/],
    [{ then: { body: 'x' } }, /headers or body without status/],
    [
      { then: { status: 200, headers: { a: 'b\r\nc: d' } } },
      /^then\.headers: invalid value; expected text on one line/,
    ],
    [{ then: { status: 200, headers: { 'a b': 'c' } } }, /^then\.headers/],
    [{ then: { delay: 'long' } }, /^then\.delay: invalid value; expected a duration up to 10m/],
    [{ then: { delay: '11m' } }, /^then\.delay: invalid value; expected a duration up to 10m/],
    [
      { then: { connection: 'slow' } },
      /^then\.connection: invalid value; expected one of reset, close, hang, cut, garbage/,
    ],
    [{ then: { store: 'slow' } }, /^then\.store: invalid value; expected unavailable/],
    [
      { match: { contract: 'saml' }, then: { delay: '1s' } },
      /^match\.contract: invalid value; expected one of bws, idscan, nevisfido, service/,
    ],
    [{ match: { user: 'a' }, then: { delay: '1s' } }, /^match\.user: unknown key/],
    [{ times: 0, then: { delay: '1s' } }, /^times: invalid value; expected a whole number from 1/],
    [{ time: 1, then: { delay: '1s' } }, /^time: unknown key, did you mean times\?/],
  ])('%o', async (fault, message) => {
    const { status, json } = await add(fault)
    expect(status).toBe(400)
    expect(json.error_description).toMatch(message)
    expect(await list()).toEqual([])
  })
})

describe('L9: meets the requests that match', () => {
  test.each([
    [{ contract: 'bws' }, ['bws']],
    [{ contract: 'idscan' }, ['idscan']],
    [{ contract: 'nevisfido' }, ['nevisfido']],
    [{ contract: 'service' }, ['service']],
    [{ operation: 'authentication' }, ['nevisfido']],
    [{ method: 'post' }, ['idscan', 'nevisfido', 'service']],
    [{ path: '/token' }, ['bws']],
    [{ path: '/nevisfido/*' }, ['nevisfido']],
    [{ app: 'app-1' }, ['bws']],
    [{ app: 'app-2' }, []],
    [{ account: 'psc' }, ['idscan']],
    [{ client: RESOURCE_SERVER.id }, ['service']],
    [{ username: 'psc' }, ['idscan']],
    [{ username: 'jeff' }, ['nevisfido']],
    [{ contract: 'bws', method: 'POST' }, []],
    [{}, ['bws', 'idscan', 'nevisfido', 'service']],
  ])('%o', async (match, met) => {
    await add({ match, then: { status: 299 } })
    const statuses = {
      bws: (await getToken(service, QUERY)).status,
      idscan: (await login(service)).status,
      nevisfido: (await create(service, 'authentication')).status,
      service: (await introspect(service, 'unknown')).status,
    }
    const injected = Object.entries(statuses).filter(([, status]) => status === 299)
    expect(injected.map(([contract]) => contract)).toEqual(met)
  })

  test('by what a token says: app and account', async () => {
    const [bws, idscan] = [await issueBws(service), await issueIdscan(service)]
    await add({ match: { app: 'app-1' }, then: { status: 298 } })
    await add({ match: { account: 'psc' }, then: { status: 299 } })
    expect((await checkBws(service, 'verify', bws)).status).toBe(298)
    expect((await checkIdscan(service, 'scanning', idscan)).status).toBe(299)
  })

  test('with a body that the fault has read, others are answered as before', async () => {
    await add({ match: { username: 'somebody else' }, then: { status: 299 } })
    expect((await login(service)).status).toBe(200)
    expect(codeOf(await create(service, 'registration'))).toBe(1200)
    expect((await login(service, `${'x'.repeat(70_000)}=1`)).status).toBe(413)
    const body = new Blob([encodeForm(LOGIN)]).stream()
    const chunked = await fetch(`${service.url}/idscanenterprisesvc/token`, { method: 'POST', body, duplex: 'half' })
    expect(chunked.status).toBe(200)
  })

  test('never the control API, health and metrics', async () => {
    await add({ then: { status: 299 } })
    for (const path of ['/healthz', '/readyz', '/metrics', '/_trimint/clock']) {
      expect((await service.request(path)).status, path).toBe(200)
    }
    expect((await service.request('/docs')).status).toBe(299)
  })

  test('the newest match wins, and gives way when its times are over', async () => {
    await add({ then: { status: 298 } })
    await add({ times: 1, then: { status: 299 } })
    const statuses = []
    for (let index = 0; index < 3; index++) statuses.push((await getToken(service, QUERY)).status)
    expect(statuses).toEqual([299, 298, 298])
  })

  test('exactly `times` of many requests at once', async () => {
    await add({ times: 7, then: { status: 299 } })
    const replies = await Promise.all(Array.from({ length: 20 }, () => fetch(`${service.url}/introspect`)))
    expect(replies.filter(({ status }) => status === 299)).toHaveLength(7)
  })
})

describe('L10: the contract answers in its own words, with its own headers', () => {
  test.each([
    ['blocked', 429, { 'retry-after': '900' }, /Too many failed attempts/],
    ['bad_secret', 401, { 'www-authenticate': 'Basic realm="BWS", charset="UTF-8"' }, /Unauthorized/],
    ['store_unavailable', 503, { 'retry-after': '1' }, /Temporarily unavailable/],
    ['internal_error', 500, { 'cache-control': 'no-store' }, /An error has occurred/],
  ])('bws: %s', async (reason, status, headers, body) => {
    await add({ then: { reason } })
    const reply = await getToken(service, QUERY)
    expect(reply).toMatchObject({ status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers } })
    expect(reply.body).toMatch(body)
  })

  test.each([
    ['bad_password', 400, 'invalid_grant', {}],
    ['blocked', 429, 'temporarily_unavailable', { 'retry-after': '900' }],
    ['no_signing_key', 503, 'temporarily_unavailable', {}],
  ])('idscan: %s', async (reason, status, error, headers) => {
    await add({ then: { reason } })
    const reply = await login(service)
    expect(reply).toMatchObject({
      status,
      headers: {
        'content-type': 'application/json;charset=UTF-8',
        'cache-control': 'no-cache, no-store',
        pragma: 'no-cache',
        expires: '-1',
        ...headers,
      },
    })
    expect(jsonOf(reply).error).toBe(error)
  })

  test.each([
    ['blocked', 1401],
    ['token_expired', 1408],
    ['token_spent', 1491],
    ['user_not_allowed', 1403],
    ['internal_error', 1500],
  ])('nevisfido: %s is 200 with %i, before credentials and media types are checked', async (reason, code) => {
    await add({ then: { reason } })
    const reply = await redeem(service, 'authentication', 'any')
    expect({ status: reply.status, code: codeOf(reply), type: reply.headers['content-type'] }).toEqual({
      status: 200,
      code,
      type: 'application/json',
    })
    expect(codeOf(await create(service, 'registration', { headers: { accept: 'text/plain' } }))).toBe(code)
  })

  test('gateway checks and introspection', async () => {
    await add({ then: { reason: 'token_revoked' } })
    const { status, headers } = await checkBws(service, 'verify', 'x.y.z')
    expect({ status, challenge: headers['www-authenticate'] }).toEqual({ status: 401, challenge: 'Bearer realm="BWS"' })
    await add({ then: { reason: 'overloaded' } })
    expect(await introspect(service, 'x')).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
  })
})

test('L10: every reason that a contract has can be injected, by the UAF services too', async () => {
  await add({ match: { contract: 'nevisfido' }, times: 1, then: { reason: 'bad_signature' } })
  const headers = { 'content-type': 'application/fido+uaf;charset=UTF-8', accept: 'application/fido+uaf' }
  const reply = await service.request('/nevisfido/uaf/1.1/authentication', { method: 'POST', headers, body: '[]' })
  expect(codeOf(reply)).toBe(1498)
})

describe('L11: delays', () => {
  test.each([
    ['250ms', 245],
    [{ from: '200ms', to: '300ms' }, 195],
  ])('%o, and then gives the real answer', async (delay, atLeastMs) => {
    await add({ then: { delay } })
    const began = performance.now()
    expect((await getToken(service, QUERY)).status).toBe(200)
    expect(performance.now() - began).toBeGreaterThan(atLeastMs)
  })

  test('with another effect', async () => {
    await add({ then: { delay: '100ms', status: 299 } })
    const began = performance.now()
    expect((await getToken(service, QUERY)).status).toBe(299)
    expect(performance.now() - began).toBeGreaterThan(95)
  })
})

describe('L12: replies and broken connections', () => {
  test.each([
    [
      { status: 418, headers: { 'x-pot': 'tea' }, body: 'short and stout' },
      'text/plain; charset=utf-8',
      'short and stout',
    ],
    [{ status: 200, body: { a: [1] } }, 'application/json', '{"a":[1]}'],
    [{ status: 502, headers: { 'content-type': 'text/html' }, body: '<p>' }, 'text/html', '<p>'],
    [{ status: 204 }, undefined, ''],
  ])('answers with %o', async (then, type, body) => {
    await add({ then })
    const reply = await getToken(service, QUERY)
    expect({ status: reply.status, body: reply.body }).toEqual({ status: then.status, body })
    if (type !== undefined) expect(reply.headers['content-type']).toBe(type)
    expect(reply.headers).toMatchObject('headers' in then ? then.headers : {})
  })

  /** Sends a request for a token; resolves to the bytes of the reply, or to the error's code. */
  async function sendRaw(waitMs = 0): Promise<string> {
    const socket = createConnection(service.port, '127.0.0.1')
    if (waitMs > 0) setTimeout(() => socket.destroy(), waitMs)
    socket.write(
      `GET /token?${QUERY} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${basic(CALLER.id, CALLER.secret)}\r\n\r\n`,
    )
    try {
      return await text(socket)
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'destroyed'
    }
  }

  test.each([
    ['close', /^$/],
    ['reset', /^ECONNRESET$/],
    // biome-ignore lint/suspicious/noControlCharactersInRegex: garbage begins with one
    ['garbage', /^\u0000/],
    ['cut', /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\neyJ[\w-]+/],
  ])('%s', async (connection, seen) => {
    await add({ then: { connection } })
    expect(await sendRaw()).toMatch(seen)
  })

  test('cut announces the whole reply and sends half of it', async () => {
    await add({ then: { connection: 'cut' } })
    const [head = '', body = ''] = (await sendRaw()).split('\r\n\r\n')
    const announced = Number(/content-length: (\d+)/i.exec(head)?.[1])
    expect(body.length).toBe(Math.floor(announced / 2))
  })

  test('hang sends nothing until the client gives up', async () => {
    await add({ then: { connection: 'hang' } })
    expect(await sendRaw(100)).not.toContain('HTTP')
    expect(await latest(service)).toMatchObject({ status: 0, injected: true })
  })
})

describe('L13: the store is away for what matches', () => {
  const away = (match: object) => add({ match, then: { store: 'unavailable' } })

  test('checks fail as if it were away, and others do not', async () => {
    const [token, other] = [await issueBws(service), await issueBws(service)]
    await away({ path: '/authz/bws/verify' })
    expect((await checkBws(service, 'verify', token)).status).toBe(503)
    expect((await introspect(service, other)).status).toBe(200)
    expect((await service.request('/readyz')).status).toBe(200)
  })

  test('also where a cache would know better', async () => {
    const token = await issueIdscan(service)
    await away({ contract: 'idscan' })
    expect((await checkIdscan(service, 'scanning', token)).status).toBe(503)
    expect(await latest(service, 'reason=store_unavailable')).toMatchObject({ injected: true })
  })

  test('nevisFIDO answers its internal error, and the token is not spent', async () => {
    const { token } = await createToken(service, 'authentication')
    await away({ contract: 'nevisfido' })
    expect(codeOf(await redeem(service, 'authentication', token))).toBe(1500)
    expect(codeOf(await create(service, 'authentication'))).toBe(1500)
    await control(service, 'DELETE', '/faults')
    expect(codeOf(await redeem(service, 'authentication', token))).toBe(1200)
  })
})

test('L14: an injected fault is marked in the audit line, the journal and the metrics', async () => {
  const { json } = await add({ times: 1, then: { reason: 'bad_secret' } })
  await getToken(service, QUERY)
  await getToken(service, QUERY, { as: { id: CALLER.id, secret: 'wrong-secret' } })
  const refused = service.log.filter(({ event }) => event === 'token.refused').slice(-2)
  expect(refused.map(({ reason, injected }) => ({ reason, injected }))).toEqual([
    { reason: 'bad_secret', injected: true },
    { reason: 'bad_secret', injected: undefined },
  ])
  expect(service.log.findLast(({ event }) => event === 'fault.injected')).toMatchObject({
    injected: true,
    fault: json.id,
  })
  const { requests } = (await control(service, 'GET', '/requests?path=/token')).json as {
    requests: { injected: boolean }[]
  }
  expect(requests.map(({ injected }) => injected)).toEqual([false, true])
  const { body } = await service.request('/metrics')
  expect(body).toMatch(/trimint_requests_refused_total\{contract="bws",reason="bad_secret",injected="true"\} [1-9]/)
  expect(body).toMatch(/trimint_requests_refused_total\{contract="bws",reason="bad_secret"\} [1-9]/)
  expect(body).toMatch(/trimint_faults_injected_total\{effect="reason"\} [1-9]/)
})

test('L14: an injected fault is marked in the audit line without a journal, too', async () => {
  await using none = await startDevelopment({ configuration: { control: { journal: 0 } } })
  await control(none, 'POST', '/faults', { then: { reason: 'bad_secret' } })
  await getToken(none, QUERY)
  expect(none.log.findLast(({ event }) => event === 'token.refused')).toMatchObject({ injected: true })
})
