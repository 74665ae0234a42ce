import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { control, startDevelopment } from '../../support/development.ts'
import { LOGIN, login } from '../../support/idscan.ts'
import { checkBws, introspect, issueBws } from '../../support/lifecycle.ts'
import { askStatus, codeOf, createToken, redeem } from '../../support/nevisfido.ts'
import type { Service } from '../../support/service.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const NOW = '2026-01-02T03:04:05.678Z'

const systemClock = createFrozenClock()
let service: Service
beforeAll(async () => {
  service = await startDevelopment({ clock: systemClock, configuration: { guard: { accountFailures: 2 } } })
})
afterAll(() => service.close())
beforeEach(async () => {
  systemClock.set(FROZEN_TIME)
  await control(service, 'POST', '/reset')
})

const patch = (body: unknown) => control(service, 'PATCH', '/clock', body)

test('L5: shows the time, the offset and whether the clock is frozen', async () => {
  const { status, headers, json } = await control(service, 'GET', '/clock')
  expect({ status, json }).toEqual({ status: 200, json: { now: NOW, offset: 0, frozen: false } })
  expect(headers).toMatchObject({ 'cache-control': 'no-store', 'content-type': 'application/json; charset=utf-8' })
})

describe('L6: sets the clock', () => {
  test.each([
    [{ advance: '11m' }, { now: '2026-01-02T03:15:05.678Z', offset: 660_000, frozen: false }],
    [{ advance: '-1h' }, { now: '2026-01-02T02:04:05.678Z', offset: -3_600_000, frozen: false }],
    [{ set: '2026-12-24T18:00:00Z' }, { now: '2026-12-24T18:00:00.000Z', offset: 30_812_154_322, frozen: false }],
    [{ freeze: true }, { now: NOW, offset: 0, frozen: true }],
    [
      { advance: '500ms', freeze: true },
      { now: '2026-01-02T03:04:06.178Z', offset: 500, frozen: true },
    ],
  ])('with %o', async (body, reading) => {
    const { json } = await patch(body)
    expect(json).toEqual({ ...reading, offset: Date.parse(reading.now) - FROZEN_TIME })
  })

  test('freezes it until it is unfrozen, and runs on from there', async () => {
    await patch({ freeze: true })
    systemClock.advance(5_000)
    expect((await control(service, 'GET', '/clock')).json).toEqual({ now: NOW, offset: -5_000, frozen: true })
    await patch({ freeze: false })
    systemClock.advance(1_000)
    expect((await control(service, 'GET', '/clock')).json).toMatchObject({
      now: '2026-01-02T03:04:06.678Z',
      frozen: false,
    })
  })

  test('and returns to the machine’s time on DELETE', async () => {
    await patch({ advance: '1h', freeze: true })
    expect((await control(service, 'DELETE', '/clock')).json).toEqual({ now: NOW, offset: 0, frozen: false })
  })

  test.each([
    [{}, /no change; expected advance or set, freeze, or both/],
    [{ advance: 'soon' }, /^advance: invalid value; expected a duration such as 11m/],
    [{ set: 'tomorrow' }, /^set: invalid value; expected a date \(2027-01-31\) or a date and time with its zone/],
    [{ advance: '1m', set: '2026-12-24T18:00:00Z' }, /both advance and set; expected one of them/],
    [{ freez: true }, /^freez: unknown key, did you mean freeze\?; expected advance, set, freeze/],
    [{ set: '0001-01-01T00:00:00Z' }, /out of range; expected a year from 1970 to 9999/],
    [[], /invalid value/],
  ])('L2: refuses %o and says what is allowed', async (body, message) => {
    const { status, json } = await patch(body)
    expect({ status, error: json.error }).toEqual({ status: 400, error: 'invalid_request' })
    expect(json.error_description).toMatch(message)
  })
})

describe('L7: everything follows the clock at once', () => {
  test('tokens expire, in checks and in introspection', async () => {
    const token = await issueBws(service)
    expect((await checkBws(service, 'verify', token)).status).toBe(200)
    await patch({ advance: '11m' })
    expect((await checkBws(service, 'verify', token)).status).toBe(401)
    expect((await introspect(service, token)).body).toBe('{"active":false}')
    await patch({ advance: '-11m' })
    expect((await checkBws(service, 'verify', token)).status).toBe(200)
  })

  test('sessions time out, and their status tells when', async () => {
    const { token, sessionId } = await createToken(service, 'authentication')
    await patch({ advance: '6m' })
    expect(codeOf(await redeem(service, 'authentication', token))).toBe(1408)
    expect(JSON.parse((await askStatus(service, sessionId)).body)).toMatchObject({ status: 'failed' })
  })

  test('blocks by the guard end, and begin anew', async () => {
    const fail = async () => {
      for (let attempts = 0; attempts < 2; attempts++) await login(service, { ...LOGIN, password: 'wrong-password' })
    }
    await fail()
    await patch({ advance: '14m' })
    expect((await login(service)).status).toBe(429)
    await patch({ advance: '1h' })
    expect((await login(service)).status).toBe(200)
    await fail()
    expect((await login(service)).headers['retry-after']).toBe('900')
  })

  test('sweeps that are due have run before the reply', async () => {
    await createToken(service, 'authentication')
    expect((await control(service, 'GET', '/sessions')).json.sessions).toHaveLength(1)
    await patch({ advance: '2h' })
    await patch({ advance: '-2h' })
    // The record would be found again if it had not been deleted.
    expect((await control(service, 'GET', '/sessions')).json.sessions).toEqual([])
  })

  test('replies carry X-Trimint-Now while the clock is off, errors too', async () => {
    expect((await service.request('/healthz')).headers).not.toHaveProperty('x-trimint-now')
    await patch({ advance: '1h', freeze: true })
    for (const path of ['/healthz', '/token', '/nowhere', '/_trimint/clock']) {
      expect((await service.request(path)).headers['x-trimint-now'], path).toBe('2026-01-02T04:04:05.678Z')
    }
  })
})
