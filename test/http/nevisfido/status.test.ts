import { afterAll, describe, expect, test } from 'vitest'
import { digestId } from '../../../src/core/fido/issue.ts'
import { askStatus, bodyFor, createToken, OPEN, OPERATIONS, redeem, UAF } from '../../support/nevisfido.ts'
import { startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const clock = createFrozenClock()
const service = await startService({ clock, configuration: { nevisfido: OPEN } })
afterAll(() => service.close())

const iso = (time: number) => new Date(time).toISOString()
const statusOf = async (sessionId: string) => JSON.parse((await askStatus(service, sessionId)).body)

describe('the request', () => {
  test.each([
    '',
    '{',
    'null',
    '[]',
    '{}',
    '{"sessionId":1}',
    '{"sessionId":""}',
    '{"sessionId":null}',
    `{"sessionId":"${'x'.repeat(70_000)}"}`,
  ])('N26: returns 400 for the body %s', async (body) => {
    const reply = await askStatus(service, '', { body })
    expect(reply).toMatchObject({
      status: 400,
      body: '{"statusCode":1400}',
      headers: { 'content-type': 'application/json' },
    })
  })

  test.each([
    ['application/json;charset=UTF-8', 'application/json', 200],
    ['application/json;charset=latin1', 'application/json', 415],
    [`${UAF};charset=UTF-8`, 'application/json', 415],
    ['application/json', '*/*', 406],
    ['application/json', UAF, 406],
  ])('N26: for Content-Type %s and Accept %s, returns %i', async (contentType, accept, status) => {
    const headers = { 'content-type': contentType, accept }
    expect((await askStatus(service, 'x', { headers })).status).toBe(status)
  })

  test('N26: rejects other methods with 405, accepts a trailing slash, and needs no credentials', async () => {
    expect(await service.request('/nevisfido/status')).toMatchObject({ status: 405, headers: { allow: 'POST' } })
    const headers = { 'content-type': 'application/json', accept: 'application/json' }
    const reply = await service.request('/nevisfido/status/', { method: 'POST', headers, body: '{"sessionId":"x"}' })
    expect(reply).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    })
  })
})

describe('a session', () => {
  test.each(OPERATIONS)('N29: tells tokenCreated for $operation before the redemption', async ({ operation }) => {
    const createdAt = clock()
    const { sessionId } = await createToken(service, operation)
    clock.advance(1_000)
    expect(await statusOf(sessionId)).toEqual({ status: 'tokenCreated', timestamp: iso(createdAt), userId: 'jeff' })
  })

  test.each([
    { operation: 'registration', status: 'clientRegistering' },
    { operation: 'authentication', status: 'clientAuthenticating' },
  ] as const)('N30: tells $status for $operation after the redemption', async ({ operation, status }) => {
    const { token, sessionId } = await createToken(service, operation)
    clock.advance(2_000)
    const redeemedAt = clock()
    await redeem(service, operation, token)
    clock.advance(1_000)
    expect(await statusOf(sessionId)).toEqual({
      status,
      timestamp: iso(redeemedAt),
      userId: 'jeff',
      tokenInformation: { tokenResult: 'tokenRedeemed' },
    })
  })

  test('N31: tells succeeded for a redeemed deregistration, for good', async () => {
    const { token, sessionId } = await createToken(service, 'deregistration')
    const redeemedAt = clock()
    await redeem(service, 'deregistration', token)
    const succeeded = {
      status: 'succeeded',
      timestamp: iso(redeemedAt),
      userId: 'jeff',
      uafStatusCode: 1200,
      tokenInformation: { tokenResult: 'tokenRedeemed' },
    }
    expect(await statusOf(sessionId)).toEqual(succeeded)
    clock.advance(200_000)
    expect(await statusOf(sessionId)).toEqual(succeeded)
  })

  test('N32: tells failed for a token that is not redeemed in time', async () => {
    const { sessionId } = await createToken(service, 'registration')
    clock.advance(299_999)
    expect(await statusOf(sessionId)).toMatchObject({ status: 'tokenCreated' })
    clock.advance(1)
    const expiredAt = clock()
    clock.advance(60_000)
    expect(await statusOf(sessionId)).toEqual({
      status: 'failed',
      timestamp: iso(expiredAt),
      userId: 'jeff',
      uafStatusCode: 1408,
      tokenInformation: { tokenResult: 'tokenTimedOut' },
    })
  })

  test.each([
    { operation: 'registration', lifetime: 300_000 },
    { operation: 'authentication', lifetime: 120_000 },
  ] as const)(
    'N32: tells failed for $operation without an answer within $lifetime ms',
    async ({ operation, lifetime }) => {
      const { token, sessionId } = await createToken(service, operation)
      await redeem(service, operation, token)
      clock.advance(lifetime - 1)
      expect((await statusOf(sessionId)).status).not.toBe('failed')
      clock.advance(1)
      const endedAt = clock()
      clock.advance(1_000)
      expect(await statusOf(sessionId)).toEqual({
        status: 'failed',
        timestamp: iso(endedAt),
        userId: 'jeff',
        uafStatusCode: 1408,
        tokenInformation: { tokenResult: 'tokenRedeemed' },
      })
    },
  )

  test('N32: tells failed for a token revoked before or after its redemption', async () => {
    const [before, after] = [await createToken(service, 'registration'), await createToken(service, 'registration')]
    await redeem(service, 'registration', after.token)
    clock.advance(5_000)
    const revokedAt = clock()
    for (const { token } of [before, after])
      expect(await service.stores.tokens.revoke(digestId(token), revokedAt)).toBe(true)
    clock.advance(1_000)
    expect(await statusOf(before.sessionId)).toEqual({ status: 'failed', timestamp: iso(revokedAt), userId: 'jeff' })
    expect(await statusOf(after.sessionId)).toMatchObject({ status: 'failed', timestamp: iso(revokedAt) })
  })

  test('N33: tells unknown for an unknown id and for a token given as id', async () => {
    const { token } = await createToken(service, 'registration')
    for (const id of ['x', '00000000-0000-4000-8000-000000000000', token]) {
      expect(await statusOf(id)).toEqual({ status: 'unknown', timestamp: iso(clock()) })
    }
  })

  test('N27: sends no userId without a user name', async () => {
    const { sessionId } = await createToken(service, 'authentication', { body: bodyFor('authentication', {}) })
    expect(await statusOf(sessionId)).not.toHaveProperty('userId')
  })

  test('N28: does not change a status when it is polled', async () => {
    const { token, sessionId } = await createToken(service, 'registration')
    for (let count = 0; count < 10; count++) await statusOf(sessionId)
    const [first, second] = [await statusOf(sessionId), await statusOf(sessionId)]
    expect(second).toEqual(first)
    expect(JSON.parse((await redeem(service, 'registration', token)).body).statusCode).toBe(1200)
  })
})
