import { afterAll, describe, expect, test } from 'vitest'
import {
  askStatus,
  bodyFor,
  codeOf,
  createToken,
  OPEN,
  OPERATIONS,
  opOf,
  redeem,
  UAF,
} from '../../support/nevisfido.ts'
import { type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'
import { uafRequestText } from '../../support/uaf-schema.ts'

const clock = createFrozenClock()
const strong = { accepted: [[{ userVerification: 2, authenticationAlgorithms: [1], assertionSchemes: ['UAFV1TLV'] }]] }
const nevisfido = { ...OPEN, policies: { strong } }
const service = await startService({ clock, configuration: { nevisfido } })
afterAll(() => service.close())

const REDEEM = '/nevisfido/token/redeem/registration'
const HOUR = 3_600_000

describe('media types', () => {
  test('N17: consumes and produces the media types that create produces and consumes', async () => {
    const { token } = await createToken(service, 'registration')
    const reply = await redeem(service, 'registration', token)
    expect(reply).toMatchObject({
      status: 200,
      headers: { 'content-type': `${UAF};charset=UTF-8`, 'cache-control': 'no-store' },
    })
  })

  test.each([
    ['application/json', UAF, 200],
    ['application/json; charset=utf-8', `text/html, ${UAF};q=0.1`, 200],
    ['Application/JSON;Charset="UTF-8"', 'APPLICATION/FIDO+UAF', 200],
    ['application/json;charset=utf-16', UAF, 415],
    [UAF, UAF, 415],
    ['application/json', 'application/json', 406],
    ['application/json', '*/*', 406],
    ['application/json', `${UAF};q=0`, 406],
  ])('N17: for Content-Type %s and Accept %s, returns %i', async (contentType, accept, status) => {
    const reply = await redeem(service, 'registration', 'x', { headers: { 'content-type': contentType, accept } })
    expect(reply.status).toBe(status)
  })

  test('N17: rejects other methods with 405 and other operations with 404, and accepts a trailing slash', async () => {
    expect(await service.request(REDEEM)).toMatchObject({ status: 405, headers: { allow: 'POST' } })
    expect((await service.request('/nevisfido/token/redeem/nothing', { method: 'POST' })).status).toBe(404)
    const headers = { 'content-type': 'application/json', accept: UAF }
    expect(codeOf(await service.request(`${REDEEM}/`, { method: 'POST', headers, body: '{"token":"x"}' }))).toBe(1404)
  })
})

describe('a fresh token', () => {
  test.each([
    { operation: 'registration', lifetime: 300_000 },
    { operation: 'authentication', lifetime: 120_000 },
    { operation: 'deregistration', lifetime: 120_000 },
  ] as const)(
    'N17: returns 1200 for $operation with the request, its operation and lifetime',
    async ({ operation, lifetime }) => {
      const { token } = await createToken(service, operation)
      const answer = JSON.parse((await redeem(service, operation, token)).body)
      expect(Object.keys(answer)).toEqual(['statusCode', 'uafRequest', 'op', 'lifetimeMillis'])
      expect(answer).toMatchObject({ statusCode: 1200, op: opOf(operation), lifetimeMillis: lifetime })
      expect(answer.uafRequest).toBeTypeOf('string')
    },
  )

  test.each(OPERATIONS)(
    "N25: returns a correct UAF request for $op by the specification's dictionaries",
    async ({ operation, op }) => {
      const content = Buffer.from('Pay 100 to Anna?').toString('base64')
      const context = {
        username: 'jeff',
        ...(op === 'Auth' ? { transaction: [{ contentType: 'text/plain', content }] } : {}),
      }
      const { token } = await createToken(service, operation, { body: bodyFor(operation, context) })
      const { uafRequest } = JSON.parse((await redeem(service, operation, token)).body)
      const [request, ...others] = uafRequestText.parse(uafRequest)
      expect(others).toEqual([])
      expect(request?.header).toMatchObject({ upv: { major: 1, minor: 1 }, op, appID: OPEN.appId })
      if (op === 'Reg') expect(request).toMatchObject({ username: 'jeff' })
      if (op === 'Auth')
        expect(request).toMatchObject({
          transaction: [{ contentType: 'text/plain', content: content.replace(/=+$/, '') }],
        })
      if (op === 'Dereg') expect(request).toMatchObject({ authenticators: [{ aaid: '', keyID: '' }] })
    },
  )

  test('N25: draws a new challenge and serverData each time', async () => {
    const seen = new Set<string>()
    for (let count = 0; count < 50; count++) {
      const { token } = await createToken(service, 'registration')
      const [{ challenge, header }] = JSON.parse(
        JSON.parse((await redeem(service, 'registration', token)).body).uafRequest,
      )
      seen.add(challenge).add(header.serverData)
    }
    expect(seen.size).toBe(100)
  })

  test('N25: sends the policy that the token was created with', async () => {
    const { token } = await createToken(service, 'registration', {
      body: bodyFor('registration', { username: 'jeff', policy: 'strong' }),
    })
    const [request] = JSON.parse(JSON.parse((await redeem(service, 'registration', token)).body).uafRequest)
    expect(request.policy).toEqual(strong)
  })
})

describe('a token that cannot be redeemed', () => {
  test.each([
    '',
    '{',
    'null',
    '[]',
    '{}',
    '{"token":1}',
    '{"token":""}',
    '{"token":null}',
    '{"token":["x"]}',
    `{"token":"${'x'.repeat(70_000)}"}`,
  ])('N18: returns 1400 for the body %s', async (body) => {
    expect(await redeem(service, 'registration', '', { body })).toMatchObject({
      status: 200,
      body: '{"statusCode":1400}',
    })
  })

  test.each(['x', '00000000-0000-4000-8000-000000000000', "' OR 1=1 --", '*'])(
    'N19: returns 1404 for %s, which was never issued',
    async (token) => {
      expect(codeOf(await redeem(service, 'registration', token))).toBe(1404)
    },
  )

  test('N19: returns 1404 for a sessionId given as token, and keeps the token redeemable', async () => {
    const { token, sessionId } = await createToken(service, 'registration')
    expect(codeOf(await redeem(service, 'registration', sessionId))).toBe(1404)
    expect(codeOf(await redeem(service, 'registration', token))).toBe(1200)
  })

  test('N20: redeems a token for five minutes, then returns 1408', async () => {
    const [early, late] = [await createToken(service, 'registration'), await createToken(service, 'registration')]
    clock.advance(299_999)
    expect(codeOf(await redeem(service, 'registration', early.token))).toBe(1200)
    clock.advance(1)
    expect(codeOf(await redeem(service, 'registration', late.token))).toBe(1408)
  })

  test('N20: uses the configured tokenLifetime', async () => {
    await using quick = await startService({ clock, configuration: { nevisfido: { ...OPEN, tokenLifetime: '2s' } } })
    const { token } = await createToken(quick, 'registration')
    clock.advance(2_000)
    expect(codeOf(await redeem(quick, 'registration', token))).toBe(1408)
  })

  test('N21: returns 1498 for a token of another operation, and keeps it redeemable at its own', async () => {
    for (const { operation } of OPERATIONS) {
      const { token } = await createToken(service, operation)
      for (const other of OPERATIONS.filter((entry) => entry.operation !== operation)) {
        expect(codeOf(await redeem(service, other.operation, token))).toBe(1498)
      }
      expect(codeOf(await redeem(service, operation, token))).toBe(1200)
    }
  })

  test('N22: returns 1491 without uafRequest for a redeemed token', async () => {
    const { token } = await createToken(service, 'registration')
    await redeem(service, 'registration', token)
    expect(await redeem(service, 'registration', token)).toMatchObject({ status: 200, body: '{"statusCode":1491}' })
    expect(codeOf(await redeem(service, 'authentication', token))).toBe(1491)
  })

  test('N22: prefers 1491 to 1408, and 1408 to 1498', async () => {
    const [redeemed, forgotten] = [
      await createToken(service, 'registration'),
      await createToken(service, 'registration'),
    ]
    await redeem(service, 'registration', redeemed.token)
    clock.advance(300_000)
    expect(codeOf(await redeem(service, 'registration', redeemed.token))).toBe(1491)
    expect(codeOf(await redeem(service, 'authentication', forgotten.token))).toBe(1408)
  })

  test('N23: tells 1408 and 1491 for one hour after expiry, then 1404', async () => {
    const [redeemed, forgotten] = [
      await createToken(service, 'registration'),
      await createToken(service, 'registration'),
    ]
    await redeem(service, 'registration', redeemed.token)
    clock.advance(300_000 + HOUR - 1)
    expect(codeOf(await redeem(service, 'registration', redeemed.token))).toBe(1491)
    expect(codeOf(await redeem(service, 'registration', forgotten.token))).toBe(1408)
    clock.advance(1)
    expect(codeOf(await redeem(service, 'registration', redeemed.token))).toBe(1404)
    expect(codeOf(await redeem(service, 'registration', forgotten.token))).toBe(1404)
    expect(JSON.parse((await askStatus(service, forgotten.sessionId)).body)).toMatchObject({ status: 'unknown' })
  })

  test('N24: redeems one of a hundred concurrent requests, and returns 1491 for the others', async () => {
    const { token } = await createToken(service, 'registration')
    const attempts = Array.from({ length: 100 }, async () => {
      const response = await fetch(service.url + REDEEM, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: UAF },
        body: JSON.stringify({ token }),
      })
      return ((await response.json()) as { statusCode: number }).statusCode
    })
    const codes = await Promise.all(attempts)
    expect(codes.filter((code) => code === 1200)).toHaveLength(1)
    expect(codes.filter((code) => code === 1491)).toHaveLength(99)
  })
})

describe('while the store is unavailable', () => {
  async function withoutStore(use: (service: Service) => Promise<void>): Promise<void> {
    const away = async (): Promise<never> => {
      throw new Error('the store is away')
    }
    const tokenStore = {
      create: away,
      redeem: away,
      settle: away,
      revoke: away,
      findByToken: away,
      findBySession: away,
      sweep: away,
      close: async () => undefined,
    }
    await using broken = await startService({ configuration: { nevisfido }, stores: { tokens: tokenStore } })
    await use(broken)
  }

  test('N13: returns 1500 without internals from create and redeem', () =>
    withoutStore(async (broken) => {
      const headers = { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json' }
      const created = await broken.request('/nevisfido/token/create/registration', {
        method: 'POST',
        headers,
        body: bodyFor('registration'),
      })
      expect(created).toMatchObject({ status: 200, body: '{"statusCode":1500}' })
      expect(await redeem(broken, 'registration', 'x')).toMatchObject({ status: 200, body: '{"statusCode":1500}' })
    }))

  test('N26: returns 503 from status', () =>
    withoutStore(async (broken) => {
      expect(await askStatus(broken, 'x')).toMatchObject({ status: 503, body: '{"statusCode":1500}' })
    }))
})
