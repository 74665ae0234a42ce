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
  test('N17: the mirror image of create', async () => {
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
  ])('N17: Content-Type %s and Accept %s: %i', async (contentType, accept, status) => {
    const reply = await redeem(service, 'registration', 'x', { headers: { 'content-type': contentType, accept } })
    expect(reply.status).toBe(status)
  })

  test('N17: other methods are 405, other operations 404, a slash does no harm', async () => {
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
  ] as const)('N17: at $operation: 1200, the request, its operation and lifetime', async ({ operation, lifetime }) => {
    const { token } = await createToken(service, operation)
    const answer = JSON.parse((await redeem(service, operation, token)).body)
    expect(Object.keys(answer)).toEqual(['statusCode', 'uafRequest', 'op', 'lifetimeMillis'])
    expect(answer).toMatchObject({ statusCode: 1200, op: opOf(operation), lifetimeMillis: lifetime })
    expect(answer.uafRequest).toBeTypeOf('string')
  })

  test.each(OPERATIONS)(
    "N25: $op is a correct UAF request by the specification's dictionaries",
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

  test('N25: challenge and serverData are new each time', async () => {
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

  test('N25: a policy that is named is the one that is sent', async () => {
    const { token } = await createToken(service, 'registration', {
      body: bodyFor('registration', { username: 'jeff', policy: 'strong' }),
    })
    const [request] = JSON.parse(JSON.parse((await redeem(service, 'registration', token)).body).uafRequest)
    expect(request.policy).toEqual(strong)
  })
})

describe('a token that is not', () => {
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
  ])('N18: the body %s is 1400', async (body) => {
    expect(await redeem(service, 'registration', '', { body })).toMatchObject({
      status: 200,
      body: '{"statusCode":1400}',
    })
  })

  test.each(['x', '00000000-0000-4000-8000-000000000000', "' OR 1=1 --", '*'])(
    'N19: %s was never issued: 1404',
    async (token) => {
      expect(codeOf(await redeem(service, 'registration', token))).toBe(1404)
    },
  )

  test('N19: a sessionId given as token is 1404, and does no harm', async () => {
    const { token, sessionId } = await createToken(service, 'registration')
    expect(codeOf(await redeem(service, 'registration', sessionId))).toBe(1404)
    expect(codeOf(await redeem(service, 'registration', token))).toBe(1200)
  })

  test('N20: redeemable for five minutes, then 1408', async () => {
    const [early, late] = [await createToken(service, 'registration'), await createToken(service, 'registration')]
    clock.advance(299_999)
    expect(codeOf(await redeem(service, 'registration', early.token))).toBe(1200)
    clock.advance(1)
    expect(codeOf(await redeem(service, 'registration', late.token))).toBe(1408)
  })

  test('N20: tokenLifetime is configurable', async () => {
    await using quick = await startService({ clock, configuration: { nevisfido: { ...OPEN, tokenLifetime: '2s' } } })
    const { token } = await createToken(quick, 'registration')
    clock.advance(2_000)
    expect(codeOf(await redeem(quick, 'registration', token))).toBe(1408)
  })

  test('N21: a token of another operation is 1498, and stays redeemable at its own', async () => {
    for (const { operation } of OPERATIONS) {
      const { token } = await createToken(service, operation)
      for (const other of OPERATIONS.filter((entry) => entry.operation !== operation)) {
        expect(codeOf(await redeem(service, other.operation, token))).toBe(1498)
      }
      expect(codeOf(await redeem(service, operation, token))).toBe(1200)
    }
  })

  test('N22: a token that was redeemed is 1491, without uafRequest', async () => {
    const { token } = await createToken(service, 'registration')
    await redeem(service, 'registration', token)
    expect(await redeem(service, 'registration', token)).toMatchObject({ status: 200, body: '{"statusCode":1491}' })
    expect(codeOf(await redeem(service, 'authentication', token))).toBe(1491)
  })

  test('N22: 1491 goes before 1408, and 1408 before 1498', async () => {
    const [redeemed, forgotten] = [
      await createToken(service, 'registration'),
      await createToken(service, 'registration'),
    ]
    await redeem(service, 'registration', redeemed.token)
    clock.advance(300_000)
    expect(codeOf(await redeem(service, 'registration', redeemed.token))).toBe(1491)
    expect(codeOf(await redeem(service, 'authentication', forgotten.token))).toBe(1408)
  })

  test('N23: told for one hour after expiry, then 1404', async () => {
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

  test('N24: a hundred at once: one 1200, ninety-nine 1491', async () => {
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

describe('when the store is away', () => {
  async function withoutStore(use: (service: Service) => Promise<void>): Promise<void> {
    const away = async (): Promise<never> => {
      throw new Error('the store is away')
    }
    const tokenStore = {
      create: away,
      redeem: away,
      revoke: away,
      findByToken: away,
      findBySession: away,
      sweep: away,
      close: async () => undefined,
    }
    await using broken = await startService({ configuration: { nevisfido }, stores: { tokens: tokenStore } })
    await use(broken)
  }

  test('N13: create and redeem are 1500, without internals', () =>
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

  test('N26: status is 503', () =>
    withoutStore(async (broken) => {
      expect(await askStatus(broken, 'x')).toMatchObject({ status: 503, body: '{"statusCode":1500}' })
    }))
})
