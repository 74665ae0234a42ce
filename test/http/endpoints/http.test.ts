import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, test } from 'vitest'
import { DEFAULT_CONNECTION_LIMITS } from '../../../src/http/listener.ts'
import { BCID, CALLER, getToken, QUERY } from '../../support/bws.ts'
import { cert, key } from '../../support/certificate.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { createPredictableRandomness } from '../../support/randomness.ts'
import { APP_SECRET, basic, startService } from '../../support/service.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const service = await startService()
afterAll(() => service.close())

/** Sends bytes as they are, and reads until the server closes the connection. */
async function sendRaw(bytes: string, port = service.port): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes)
  return text(socket)
}

describe('health', () => {
  test('GET /healthz is 200 and not cacheable', async () => {
    const reply = await service.request('/healthz')
    expect(reply).toMatchObject({ status: 200, body: '{"status":"ok"}', headers: { 'cache-control': 'no-store' } })
  })

  test('HEAD /healthz is 200 without a body', async () => {
    expect(await service.request('/healthz', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
  })
})

describe('outside the contracts', () => {
  test.each(['/', '/nothing', '/token/', '/healthz/x', '/extension', '/%2e%2e/etc/passwd', '//token'])(
    '%s is 404 with a JSON body',
    async (path) => {
      const reply = await service.request(path)
      expect(reply.status).toBe(404)
      expect(reply.headers['content-type']).toBe('application/json; charset=utf-8')
      expect(reply.body).toBe('{"error":"not_found","error_description":"There is nothing at this path."}')
    },
  )

  test.each([
    ['application/xml', '<a/>'],
    ['application/json', '{b'],
    ['application/json', ''],
    [';;;', 'x'],
    ['text/plain', 'x'.repeat(70_000)],
  ])('returns 404 for a POST of %s to an unknown path, whatever its body', async (contentType, body) => {
    const headers = { 'content-type': contentType }
    expect(await service.request('/nothing', { method: 'POST', headers, body })).toMatchObject({ status: 404 })
  })

  test('returns 404 for a path that cannot be decoded', async () => {
    expect(await service.request('/%zz')).toMatchObject({ status: 404 })
  })

  test('returns 404 for a path of a disabled contract', async () => {
    await using off = await startService({ configuration: { bws: false } })
    expect(await getToken(off, QUERY)).toMatchObject({ status: 404 })
  })
})

describe('X-Request-Id', () => {
  test.each(['abc', '4bf92f3577b34da6a3ce929d0e0e4736', 'Root=1-67891233-abcdef', 'a'.repeat(128)])(
    '%s is echoed and logged',
    async (id) => {
      const reply = await getToken(service, QUERY, { headers: { 'x-request-id': id } })
      expect(reply.headers['x-request-id']).toBe(id)
      expect(service.log.at(-1)).toMatchObject({ requestId: id })
    },
  )

  test.each(['', 'a b', '"quoted"', 'a'.repeat(129), '<script>', 'ä'])(
    '%j is replaced by a generated id',
    async (id) => {
      const reply = await service.request('/healthz', {
        headers: { 'x-request-id': Buffer.from(id).toString('latin1') },
      })
      expect(reply.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
    },
  )

  test.each(['/nothing', '/%zz', '/token'])('is on the reply to %s', async (path) => {
    const reply = await service.request(path, { headers: { 'x-request-id': 'mine' } })
    expect(reply.headers['x-request-id']).toBe('mine')
  })
})

describe('the audit line', () => {
  const clock = createFrozenClock()

  test('writes exactly these fields for an issued token', async () => {
    await using service = await startService({ clock, randomness: createPredictableRandomness() })
    await getToken(service, QUERY)
    expect(service.log.at(-1)).toEqual({
      level: 'info',
      time: FROZEN_TIME,
      event: 'token.issued',
      contract: 'bws',
      app: 'app-1',
      secretSlot: 0,
      tokenId: '00000000-0000-4000-8000-000000000001',
      address: '127.0.0.1',
      requestId: '00000000-0000-4000-8000-000000000000',
    })
  })

  test('writes exactly these fields for a refusal', async () => {
    await using service = await startService({ clock })
    await getToken(service, `${QUERY}&maxtries=99`, { headers: { 'x-request-id': 'r1' } })
    expect(service.log.at(-1)).toEqual({
      level: 'warn',
      time: FROZEN_TIME,
      event: 'token.refused',
      contract: 'bws',
      reason: 'bad_parameter',
      app: 'app-1',
      parameters: ['maxtries'],
      address: '127.0.0.1',
      requestId: 'r1',
    })
  })

  const TRACE = '0af7651916cd43dd8448eb211c80319c'
  test.each([
    [`00-${TRACE}-b7ad6b7169203331-01`, TRACE],
    [`cc-${TRACE}-b7ad6b7169203331-01-what-a-later-version-adds`, TRACE],
    [`00-${'0'.repeat(32)}-b7ad6b7169203331-01`, undefined],
    [`00-${TRACE.toUpperCase()}-b7ad6b7169203331-01`, undefined],
    [`00-${TRACE}`, undefined],
    ['"quoted"', undefined],
  ])('names the trace of traceparent %s as %s', async (traceparent, traceId) => {
    await getToken(service, QUERY, { headers: { traceparent } })
    expect(service.log.at(-1)?.traceId).toBe(traceId)
  })

  test('does not contain an unknown app id, which may be a secret', async () => {
    await getToken(service, QUERY, { as: { id: APP_SECRET, secret: 'the wrong way round' } })
    expect(service.log.at(-1)).toMatchObject({ reason: 'unknown_app' })
    expect(service.log.at(-1)).not.toHaveProperty('app')
  })

  test('contains nothing from the query or the headers', async () => {
    const marker = 'marker-that-no-log-may-hold'
    trackSecret(marker)
    const headers = { 'user-agent': marker, referer: `http://${marker}/`, cookie: marker, [marker]: marker }
    for (const query of [
      `${QUERY}&${marker}=1`,
      `${QUERY}&x=${marker}`,
      `${QUERY}&task=${marker}`,
      `id=${marker}&bcid=${marker}.1.1`,
    ]) {
      await getToken(service, query, { headers })
    }
    await service.request(`/${marker}?${marker}`, { headers })
    await service.request(`/token/${marker}`, { method: 'POST', headers, body: marker })
    await service.request('/token', { headers: { authorization: marker } })
    expect(JSON.stringify(service.log)).not.toContain(marker)
  })

  test('takes the address from X-Forwarded-For only if the proxy is trusted', async () => {
    const headers = { 'x-forwarded-for': '203.0.113.9' }
    await getToken(service, QUERY, { headers })
    expect(service.log.at(-1)).toMatchObject({ address: '127.0.0.1' })
    await using trusting = await startService({ configuration: { trustProxy: ['192.0.2.1', 'loopback'] } })
    await getToken(trusting, QUERY, { headers })
    expect(trusting.log.at(-1)).toMatchObject({ address: '203.0.113.9' })
  })

  test.each([
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:5001', '203.0.113.9'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['unknown', 'unreadable'],
    ['010.0.0.1', 'unreadable'],
    ["203.0.113.9'; --", 'unreadable'],
    ['1'.repeat(8_000), 'unreadable'],
  ])('writes the forwarded address %s as %s', async (forwarded, address) => {
    await using trusting = await startService({ configuration: { trustProxy: ['loopback'] } })
    const headers = { 'x-forwarded-for': forwarded }
    await getToken(trusting, QUERY, { headers })
    expect(trusting.log.at(-1)).toMatchObject({ event: 'token.issued', address })
    await getToken(trusting, QUERY, { headers, as: { id: 'app-1', secret: 'a wrong secret 5a1c' } })
    expect(trusting.log.at(-1)).toMatchObject({ event: 'token.refused', address })
  })
})

describe('HTTP/1.1 parsing', () => {
  const broken: [what: string, bytes: string, status: number][] = [
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['a wrong version', 'GET / HTTP/9.9\r\n\r\n', 400],
    ['a header without a colon', 'GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n', 400],
    ['a blank before the colon', `GET /token?${QUERY} HTTP/1.1\r\nHost: x\r\nAuthorization : x\r\n\r\n`, 400],
    ['two lengths', 'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
    [
      'a length and chunks',
      'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['49 KiB of headers', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(49 * 1024)}\r\n\r\n`, 431],
    ['49 KiB of path', `GET /token?${'x'.repeat(49 * 1024)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ]
  test.each(broken)('rejects %s', async (_what, bytes, status) => {
    const reply = await sendRaw(bytes)
    expect(reply).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    const [, body = ''] = reply.split('\r\n\r\n')
    expect(JSON.parse(body)).toEqual({ error: 'invalid_request', error_description: expect.any(String) })
  })

  test.each([
    'HTTPS://x:99999/token',
    'http:///token',
    'http://x/token#part',
    'http://x?%ff',
    'http://%ff/token',
    'ftp://x/token',
    '*',
    '/%',
  ])('answers 404 to the target %s', async (target) => {
    const reply = await sendRaw(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    const [head = '', body = ''] = reply.split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 404 .*x-request-id/is)
    expect(JSON.parse(body)).toEqual({ error: 'not_found', error_description: expect.any(String) })
  })

  test('accepts a query of 12 KiB', async () => {
    const reply = await getToken(service, `${QUERY}&x=${'x'.repeat(12 * 1024)}`)
    expect(reply.status).toBe(200)
  })

  test('logs no bytes of a malformed request', async () => {
    const before = service.log.length
    await sendRaw(`GET /token HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('app-1', APP_SECRET)}\r\nbroken\r\n\r\n`)
    expect(service.log.slice(before)).toEqual([])
  })

  test('answers pipelined requests in order', async () => {
    const one = (path: string, last = false) =>
      `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(CALLER.id, CALLER.secret)}\r\n${last ? 'Connection: close\r\n' : ''}\r\n`
    const reply = await sendRaw(one(`/token?id=app-1&bcid=${BCID}`) + one('/nothing') + one('/healthz', true))
    expect(reply.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200'])
  })

  test('answers a chunked HTTP/1.0 request and closes the connection', async () => {
    const head = 'POST /nothing HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
    const reply = await sendRaw(`${head}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(reply.match(/HTTP\/1\.1 \d+|Connection: \S+/gi)).toEqual(['HTTP/1.1 404', 'connection: close'])
  })

  test('never sends the 400 of a malformed request in place of the reply before it', async () => {
    const good = `GET /token?${QUERY} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(CALLER.id, CALLER.secret)}\r\n\r\n`
    expect(await sendRaw(`${good}garbage\r\n\r\n`).catch(() => '')).not.toMatch(/HTTP\/1\.1 400/)
  })

  test('answers a request that never ends with 408', async () => {
    const connectionLimits = { headersTimeoutMs: 200, connectionsCheckingIntervalMs: 50 }
    await using impatient = await startService({ connectionLimits })
    expect(await sendRaw('GET /healthz HTTP/1.1\r\nHost: x\r\n', impatient.port)).toMatch(/^HTTP\/1\.1 408 /)
  })

  test('answers a request with Expect: 100-continue normally', async () => {
    const head =
      'POST /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n'
    expect(await sendRaw(head)).toMatch(/HTTP\/1\.1 404 /)
  })

  test('answers a request with Upgrade: h2c normally', async () => {
    const head = `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`
    expect(await sendRaw(head)).toMatch(/^HTTP\/1\.1 200 /)
  })
})

test('uses these default connection limits', () => {
  expect(DEFAULT_CONNECTION_LIMITS).toEqual({
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 15_000,
    keepAliveTimeoutMs: 72_000,
    tlsHandshakeTimeoutMs: 10_000,
    idleTimeoutMs: 90_000,
    connectionsCheckingIntervalMs: 2_000,
    maxHeaderBytes: 49_152,
    maxPendingRequests: 64,
  })
})

test('serves TLS when a certificate is configured', async () => {
  await using secure = await startService({ configuration: { tls: { cert, key } } })
  expect(secure.url).toMatch(/^https:/)
  expect((await getToken(secure, QUERY)).status).toBe(200)
})
