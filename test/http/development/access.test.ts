import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { control, startDevelopment } from '../../support/development.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import type { Service } from '../../support/service.ts'

let service: Service
beforeAll(async () => {
  service = await startDevelopment({
    configuration: { publicUrl: 'https://tokens.example.com/path', control: { hosts: ['trimint.local'] } },
  })
})
afterAll(() => service.close())

interface Sent {
  readonly method?: string
  readonly path?: string
  readonly headers: Record<string, string>
  readonly body?: string
}

/** Sends a request as a browser would, with any header; resolves to its status, or to the error's code. */
function send(
  { method = 'GET', path = '/_trimint/clock', headers, body }: Sent,
  to = service,
): Promise<number | string> {
  return new Promise((resolve) => {
    const request = httpRequest({ host: '127.0.0.1', port: to.port, method, path, headers }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    request.on('upgrade', () => resolve('upgraded'))
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    request.end(body)
  })
}

const own = (host: string) => ({ host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' })

describe('L3: keeps web pages of other origins out', () => {
  test.each([
    ['a rebound name of an attacker', { host: 'attacker.example' }],
    ['a rebound name that is its own origin', own('attacker.example:8080')],
    ['a name that begins with a loopback address', { host: '127.0.0.1.attacker.example' }],
    ['a name that ends with localhost', { host: 'attackerlocalhost' }],
    ['the host of another network', { host: '192.168.0.1' }],
    ['a foreign host that a proxy reports', { host: 'localhost', 'x-forwarded-host': 'localhost, attacker.example' }],
    ['a foreign host in Forwarded', { host: 'localhost', forwarded: 'for=10.0.0.1;host="attacker.example:80"' }],
    [
      'a foreign host in the second Forwarded',
      { host: 'localhost', forwarded: 'host=localhost, proto=http;Host=a.example' },
    ],
    ['credentials in Host', { host: 'localhost@attacker.example' }],
    ['a foreign Origin', { host: 'localhost', origin: 'https://attacker.example' }],
    ['an Origin of another port', { host: 'localhost:8080', origin: 'http://localhost:3000' }],
    ['an Origin of another scheme', { host: 'localhost:8080', origin: 'https://localhost:8080' }],
    ['the Origin null of a sandboxed frame', { host: 'localhost', origin: 'null' }],
    ['Sec-Fetch-Site: cross-site without Origin', { host: 'localhost', 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site', { host: 'localhost', 'sec-fetch-site': 'same-site' }],
  ])('answers 403 to %s', async (_name, headers) => {
    expect(await send({ headers })).toBe(403)
    expect(
      await send({
        method: 'PATCH',
        headers: { ...headers, 'content-type': 'application/json' },
        body: '{"advance":"1h"}',
      }),
    ).toBe(403)
    expect((await control(service, 'GET', '/clock')).json.offset).toBe(0)
  })

  test.each([
    ['a loopback address', { host: '127.0.0.1' }],
    ['another loopback address with a port', { host: '127.8.9.1:1234' }],
    ['the IPv6 loopback address', { host: '[::1]:8080' }],
    ['localhost in upper case', { host: 'LOCALHOST:8080' }],
    ['the host of publicUrl', { host: 'tokens.example.com' }],
    ['the origin of publicUrl, behind a proxy', { host: 'tokens.example.com', origin: 'https://tokens.example.com' }],
    ['the host of publicUrl, as a proxy reports it', { host: 'localhost', 'x-forwarded-host': 'tokens.example.com' }],
    [
      'the same in Forwarded',
      { host: '127.0.0.1:8080', forwarded: 'for=10.0.0.1;host="tokens.example.com";proto=https' },
    ],
    ['one of control.hosts', { host: 'trimint.local:8080' }],
    ['its own page', own('localhost:8080')],
    ['an address that a person typed', { host: 'localhost', 'sec-fetch-site': 'none' }],
  ])('answers 200 to %s', async (_name, headers) => {
    expect(await send({ headers })).toBe(200)
  })

  test('refuses the form post and the simple request of a web page', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x']) {
      const headers = { host: 'localhost', 'content-type': type }
      expect(await send({ method: 'POST', path: '/_trimint/reset', headers, body: '{"only":["faults"]}' }), type).toBe(
        415,
      )
      expect(
        await send({
          method: 'POST',
          path: '/_trimint/reset',
          headers: { ...headers, origin: 'https://attacker.example' },
          body: '{}',
        }),
      ).toBe(403)
    }
  })

  test('answers no preflight, and sends no CORS header', async () => {
    const headers = { host: 'localhost', origin: 'https://attacker.example', 'access-control-request-method': 'PATCH' }
    expect(await send({ method: 'OPTIONS', headers })).toBe(403)
    const { headers: replied } = await control(service, 'GET', '/clock', undefined, { headers: { host: 'localhost' } })
    expect(Object.keys(replied).filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  test('refuses the websocket of a web page, and upgrades none', async () => {
    const upgrade = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'sec-websocket-version': '13',
    }
    const page = { host: 'localhost', origin: 'https://attacker.example' }
    expect(await send({ path: '/_trimint/requests/stream', headers: { ...upgrade, ...page } })).toBe(403)
    expect(await send({ headers: { ...upgrade, host: 'localhost' } })).toBe(200)
  })

  test.each([
    '/%5ftrimint/clock',
    '/_trimint/%63lock',
    '//_trimint/clock',
    '/_trimint//clock',
    '/x/../_trimint/clock',
    '/_TRIMINT/clock',
    '/_trimint/clock/',
    '/_trimint/../_trimint/clock',
    'http://127.0.0.1/_trimint/clock',
  ])('no spelling of a path gets around the check: %s', async (path) => {
    expect([403, 404]).toContain(await send({ path, headers: { host: 'attacker.example' } }))
  })

  test('serves no file, whatever path is asked for', async () => {
    for (const path of [
      '/_trimint/../package.json',
      '/_trimint/%2e%2e/package.json',
      '/_trimint/..%2fpackage.json',
      '/_trimint/parts.ts',
    ]) {
      expect(await send({ path, headers: { host: 'localhost' } }), path).toBe(404)
    }
  })
})

describe('L3: with control.token', () => {
  const TOKEN = 'a token for the control API 91'
  let guarded: Service
  beforeAll(async () => {
    trackSecret(TOKEN)
    guarded = await startDevelopment({ configuration: { control: { token: `plain:${TOKEN}` } } })
  })
  afterAll(() => guarded.close())

  test.each([
    ['no token', { host: 'localhost' }, 401],
    ['a wrong token', { host: 'localhost', authorization: 'Bearer wrong' }, 401],
    ['the token as Basic', { host: 'localhost', authorization: `Basic ${TOKEN}` }, 401],
    ['the token', { host: 'localhost', authorization: `Bearer ${TOKEN}` }, 200],
    ['the token and any Host', { host: 'any.example', authorization: `Bearer ${TOKEN}` }, 200],
    [
      'the token and a foreign Origin',
      { host: 'localhost', origin: 'https://a.example', authorization: `Bearer ${TOKEN}` },
      403,
    ],
  ])('%s gets %i', async (_name, headers, status) => {
    expect(await send({ headers }, guarded)).toBe(status)
  })
})

describe('L2: speaks JSON', () => {
  test.each([
    ['PUT', '/clock', 'GET, HEAD, PATCH, DELETE'],
    ['PATCH', '/faults', 'GET, HEAD, POST, DELETE'],
    ['GET', '/faults/fault-1', 'DELETE'],
    ['POST', '/requests', 'GET, HEAD, DELETE'],
    ['DELETE', '/requests/stream', 'GET, HEAD'],
    ['POST', '/requests/1', 'GET, HEAD'],
    ['POST', '/configuration', 'GET, HEAD, PATCH'],
    ['POST', '/sessions', 'GET, HEAD'],
    ['POST', '/guard', 'GET, HEAD'],
    ['GET', '/guard/x', 'DELETE'],
    ['GET', '/reset', 'POST'],
  ])('answers 405 with Allow to %s %s', async (method, path, allow) => {
    const { status, headers, body } = await service.request(`/_trimint${path}`, {
      method,
      headers: { host: 'localhost' },
    })
    expect({ status, allow: headers.allow, cache: headers['cache-control'] }).toEqual({
      status: 405,
      allow,
      cache: 'no-store',
    })
    expect(JSON.parse(body)).toEqual({
      error: 'method_not_allowed',
      error_description: `wrong method; expected ${allow}`,
    })
  })

  test.each(['{', '"\ud800', '{"advance":"1h"} trailing'])(
    'answers 400 to a body that is not JSON: %s',
    async (body) => {
      const headers = { host: 'localhost', 'content-type': 'application/json' }
      const reply = await service.request('/_trimint/clock', { method: 'PATCH', headers, body })
      expect(reply.status).toBe(400)
      expect(JSON.parse(reply.body).error).toBe('invalid_request')
    },
  )

  test.each([101, 5_000, 30_000])('L2: answers 400 to JSON of %i levels', async (levels) => {
    const body = `{"then":{"status":200,"body":${'['.repeat(levels)}${']'.repeat(levels)}}}`
    const headers = { host: 'localhost', 'content-type': 'application/json' }
    const reply = await service.request('/_trimint/faults', { method: 'POST', headers, body })
    expect(reply.status).toBe(400)
    expect(JSON.parse(reply.body).error_description).toContain('at most 100 levels')
  })

  test('answers 404 to what does not exist', async () => {
    for (const [method, path] of [
      ['GET', '/nothing'],
      ['GET', '/requests/none'],
      ['DELETE', '/faults/none'],
      ['DELETE', '/guard/none'],
    ] as const) {
      expect((await control(service, method, path)).json.error, path).toBe('not_found')
    }
  })
})

test('L2: GET /_trimint/openapi.json describes every method of its paths', async () => {
  const { status, headers, json } = await control(service, 'GET', '/openapi.json')
  expect({ status, type: headers['content-type'] }).toEqual({ status: 200, type: 'application/json; charset=utf-8' })
  const paths = Object.entries(json.paths as Record<string, object>)
  expect(paths.length).toBeGreaterThan(10)
  for (const [path, methods] of paths) {
    const { headers: refused } = await service.request(`/_trimint${path.replaceAll(/[{}]/g, '')}`, {
      method: 'OPTIONS',
      headers: { host: 'localhost' },
    })
    const allowed = Object.keys(methods).map((method) => method.toUpperCase())
    const served = String(refused.allow)
      .split(', ')
      .filter((method) => method !== 'HEAD')
    expect(served.toSorted(), path).toEqual(allowed.toSorted())
  }
})
