import { afterAll, describe, expect, test } from 'vitest'
import { bodyFor, CLIENT, codeOf, OPEN, OPERATIONS, UAF } from '../../../support/nevisfido.ts'
import { type Service, startService } from '../../../support/service.ts'
import { createFrozenClock } from '../../../support/time.ts'
import { createPhone, requestUaf, respond, startSession, statusOf } from '../../../support/uaf.ts'
import { uafRequestText } from '../../../support/uaf-schema.ts'

const clock = createFrozenClock()
const service = await startService({ clock, configuration: { nevisfido: OPEN } })
afterAll(() => service.close())

const BASE = '/nevisfido/uaf/1.1'
const RESPONSES = ['registration', 'authentication'] as const
const PATHS = [
  ...OPERATIONS.map(({ operation }) => `${BASE}/request/${operation}`),
  ...RESPONSES.map((operation) => `${BASE}/${operation}`),
]
const TYPE = `${UAF};charset=UTF-8`

const send = (to: Service, path: string, headers: Record<string, string>, method = 'POST') =>
  to.request(path, { method, headers, ...(method === 'GET' ? {} : { body: '{}' }) })

describe('media types and methods', () => {
  test.each(PATHS)('U1: %s replies with HTTP 200 and a statusCode, uncached, without CORS', async (path) => {
    const reply = await send(service, path, { 'content-type': TYPE, accept: UAF, origin: 'https://example.com' })
    expect(reply).toMatchObject({
      status: 200,
      headers: { 'content-type': `${UAF};charset=UTF-8`, 'cache-control': 'no-store' },
      body: '{"statusCode":1400}',
    })
    expect(reply.headers).not.toHaveProperty('access-control-allow-origin')
  })

  test.each(
    PATHS.flatMap((path) =>
      (
        [
          [`${UAF}; Charset="utf-8"`, `text/html, ${UAF.toUpperCase()};q=0.1`, 200],
          [UAF, UAF, 415],
          [`${UAF};charset=latin1`, UAF, 415],
          ['application/json;charset=UTF-8', UAF, 415],
          [TYPE, 'application/json', 406],
          [TYPE, '*/*', 406],
          [TYPE, `${UAF};q=0`, 406],
          ['text/plain', 'text/plain', 415],
        ] as const
      ).map(([contentType, accept, status]) => ({ path, contentType, accept, status })),
    ),
  )(
    'U1: $path replies $status to Content-Type $contentType with Accept $accept',
    async ({ path, contentType, accept, status }) => {
      expect((await send(service, path, { 'content-type': contentType, accept })).status).toBe(status)
    },
  )

  test.each(PATHS)('U1: %s replies 415 without Content-Type and 406 without Accept', async (path) => {
    expect((await send(service, path, { accept: UAF })).status).toBe(415)
    expect((await send(service, path, { 'content-type': TYPE })).status).toBe(406)
  })

  test.each(PATHS)('U1: %s accepts a trailing slash, and rejects other methods before media types', async (path) => {
    expect(await send(service, `${path}/`, { 'content-type': TYPE, accept: UAF })).toMatchObject({ status: 200 })
    for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
      expect(await send(service, path, {}, method)).toMatchObject({ status: 405, headers: { allow: 'POST' } })
    }
  })

  test.each([
    `${BASE}/deregistration`,
    `${BASE}/request/nothing`,
    `${BASE}/request/Registration`,
    `${BASE}/request`,
    `${BASE}/nothing`,
    '/nevisfido/uaf/1.0/registration',
  ])('U1: %s is not a service: 404 before 405', async (path) => {
    expect((await send(service, path, { 'content-type': TYPE, accept: UAF })).status).toBe(404)
    expect((await send(service, path, {}, 'PUT')).status).toBe(404)
  })

  test('U1: serves a missing Accept, */* and a missing charset where negotiation is lenient', async () => {
    await using lenient = await startService({ configuration: { nevisfido: { ...OPEN, negotiation: 'lenient' } } })
    for (const path of PATHS) {
      expect((await send(lenient, path, { 'content-type': UAF })).status).toBe(200)
      expect((await send(lenient, path, { 'content-type': UAF, accept: 'application/*' })).status).toBe(200)
      expect((await send(lenient, path, { 'content-type': 'text/plain' })).status).toBe(415)
    }
  })

  test('U1: replies 200 with 1500 while the store is unavailable', async () => {
    const phone = createPhone(service)
    const { uafRequest } = await startSession(service, 'registration')
    const { body } = await phone.answer(uafRequest)
    const away = async (): Promise<never> => {
      throw new Error('the store is away')
    }
    const tokens = new Proxy(service.stores.tokens, { get: (_store, name) => (name === 'close' ? undefined : away) })
    await using broken = await startService({ clock, configuration: { nevisfido: OPEN }, stores: { tokens } })
    for (const reply of [await respond(broken, 'registration', body), await requestUaf(broken, 'registration')]) {
      expect(reply).toMatchObject({ status: 200, body: '{"statusCode":1500}' })
    }
  })
})

describe('who may use them', () => {
  test('U2: request services want the credentials that protect asks for, before they read the body', async () => {
    await using strict = await startService({
      configuration: {
        nevisfido: {
          ...OPEN,
          protect: ['registration', 'authentication', 'deregistration'],
          users: ['jeff', 'mia'],
          clients: [{ id: CLIENT.id, secret: `plain:${CLIENT.secret}`, users: ['jeff'] }],
        },
      },
    })
    for (const { operation } of OPERATIONS) {
      expect(codeOf(await requestUaf(strict, operation, { body: '{' }))).toBe(1401)
      expect(codeOf(await requestUaf(strict, operation, { as: { ...CLIENT, secret: 'wrong-secret' } }))).toBe(1401)
      expect(codeOf(await requestUaf(strict, operation, { as: CLIENT }))).toBe(1200)
      const body = bodyFor(operation, { username: 'mia' })
      expect(codeOf(await requestUaf(strict, operation, { as: CLIENT, body }))).toBe(1403)
    }
    const body = bodyFor('authentication', {})
    expect(codeOf(await requestUaf(strict, 'authentication', { as: CLIENT, body }))).toBe(1403)
  })

  test('U2: request services ignore credentials where the operation is not protected, and check the user', async () => {
    await using open = await startService({ configuration: { nevisfido: { ...OPEN, users: ['jeff'] } } })
    expect(codeOf(await requestUaf(open, 'registration', { as: { id: 'no', secret: 'wrong-secret' } }))).toBe(1200)
    const body = bodyFor('registration', { username: 'mia' })
    expect(codeOf(await requestUaf(open, 'registration', { body }))).toBe(1403)
  })

  test('U2: response services ignore credentials', async () => {
    const phone = createPhone(service)
    const { uafRequest } = await startSession(service, 'registration')
    const { body } = await phone.answer(uafRequest)
    expect(codeOf(await respond(service, 'registration', body, { as: { id: 'no', secret: 'wrong-secret' } }))).toBe(
      1200,
    )
  })
})

describe('facets', () => {
  const FACETS = `${BASE}/facets`

  test('U3: lists the origin of the appId by default, whatever Accept says', async () => {
    for (const headers of [{}, { accept: 'text/html' }]) {
      const reply = await service.request(FACETS, { headers })
      expect(reply).toMatchObject({
        status: 200,
        headers: { 'content-type': 'application/fido.trusted-apps+json' },
      })
      expect(JSON.parse(reply.body)).toEqual({
        trustedFacets: [{ version: { major: 1, minor: 1 }, ids: ['https://fido.example.com'] }],
      })
    }
  })

  test('U3: lists the configured facets', async () => {
    const facets = [
      'https://app.example.com',
      'android:apk-key-hash:2jmj7l5rSw0yVb/vlWAYkK/YBwk',
      'ios:bundle-id:com.example',
    ]
    await using configured = await startService({ configuration: { nevisfido: { ...OPEN, facets } } })
    const { trustedFacets } = JSON.parse((await configured.request(FACETS)).body)
    expect(trustedFacets).toEqual([{ version: { major: 1, minor: 1 }, ids: facets }])
  })

  test('U3: rejects other methods with 405', async () => {
    for (const method of ['POST', 'PUT', 'DELETE'])
      expect(await service.request(FACETS, { method })).toMatchObject({ status: 405, headers: { allow: 'GET' } })
  })
})

describe('request services', () => {
  test.each([
    '',
    '{',
    'null',
    '[]',
    '{"op":"Reg"}',
    '{"op":"Reg","context":""}',
    '{"op":"Reg","context":{}}',
    '{"op":"reg","context":"{}"}',
    '{"op":"Reg","context":"{\\"username\\":\\"jeff\\"}","previousRequest":1}',
  ])('U4: returns 1400 for the body %j, as create does', async (body) => {
    expect(await requestUaf(service, 'registration', { body })).toMatchObject({ body: '{"statusCode":1400}' })
  })

  test('U4: returns 1400 for a body over the size limit, as create does', async () => {
    const body = JSON.stringify({ op: 'Reg', context: 'x'.repeat(70_000) })
    expect(await requestUaf(service, 'registration', { body })).toMatchObject({ body: '{"statusCode":1400}' })
  })

  test.each([
    { title: 'the operation of another service', op: 'Auth', context: '{"username":"jeff"}' },
    { title: 'a context that is not JSON', op: 'Reg', context: 'jeff' },
    { title: 'no username', op: 'Reg', context: '{}' },
    { title: 'an unknown policy', op: 'Reg', context: '{"username":"jeff","policy":"none"}' },
    { title: 'a malformed transaction', op: 'Reg', context: '{"username":"jeff","transaction":[{}]}' },
  ])('U4: returns 1498 for $title, as create does', async ({ op, context }) => {
    const body = JSON.stringify({ op, context })
    expect(await requestUaf(service, 'registration', { body })).toMatchObject({ body: '{"statusCode":1498}' })
  })

  test.each(OPERATIONS)(
    'U4: returns a correct $op request with the members of a redemption',
    async ({ operation, op }) => {
      const reply = JSON.parse((await requestUaf(service, operation)).body)
      expect(Object.keys(reply)).toEqual(['statusCode', 'uafRequest', 'op', 'lifetimeMillis'])
      expect(reply).toMatchObject({ statusCode: 1200, op, lifetimeMillis: op === 'Reg' ? 300_000 : 120_000 })
      expect(uafRequestText.parse(reply.uafRequest)).toMatchObject([{ header: { op, appID: OPEN.appId } }])
    },
  )

  test('U4: takes an answer to its request, once, within the response lifetime', async () => {
    const phone = createPhone(service)
    const request = async (operation: 'registration' | 'authentication') =>
      JSON.parse((await requestUaf(service, operation, { body: bodyFor(operation, { username: 'ida' }) })).body)
    const registration = await phone.answer((await request('registration')).uafRequest)
    expect(codeOf(await respond(service, 'registration', registration.body))).toBe(1200)
    await registration.keep()
    const authentication = await phone.answer((await request('authentication')).uafRequest)
    expect(codeOf(await respond(service, 'authentication', authentication.body))).toBe(1200)
    expect(codeOf(await respond(service, 'authentication', authentication.body))).toBe(1491)
    const late = await phone.answer((await request('authentication')).uafRequest)
    clock.advance(120_000)
    expect(codeOf(await respond(service, 'authentication', late.body))).toBe(1408)
  })
})

describe('response services', () => {
  test.each(RESPONSES)('U7: %s replies with a statusCode alone, for good and bad answers', async (operation) => {
    const phone = createPhone(service)
    const registration = await startSession(service, 'registration', { username: 'kim' })
    const first = await phone.answer(registration.uafRequest)
    const registered = await respond(service, 'registration', first.body)
    await first.keep()
    const { uafRequest } = await startSession(service, operation, { username: 'kim' })
    const { body } = await phone.answer(uafRequest)
    const good = operation === 'registration' ? registered : await respond(service, operation, body)
    expect(good).toMatchObject({ status: 200, body: '{"statusCode":1200}' })
    expect(await respond(service, operation, '{}')).toMatchObject({ status: 200, body: '{"statusCode":1400}' })
    expect((await statusOf(service, registration.sessionId)).status).toBe('succeeded')
  })
})
