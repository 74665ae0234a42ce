import { afterAll, describe, expect, test } from 'vitest'
import { systemRandomness } from '../../../src/app/system-randomness.ts'
import { BCID, CALLER, getToken, messageOf, QUERY } from '../../support/bws.ts'
import { startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const service = await startService()
afterAll(() => service.close())

test('B19: returns the bare compact JWS as text/plain, not to be stored', async () => {
  const reply = await getToken(service, QUERY)
  expect(reply.status).toBe(200)
  expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
  expect(reply.headers['cache-control']).toBe('no-store')
  expect(reply.body).toMatch(/^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$/)
  expect(reply.headers['content-length']).toBe(String(reply.body.length))
})

const errors: [status: number, method: string, query: string, secret: string][] = [
  [400, 'GET', 'id=app-1', CALLER.secret],
  [401, 'GET', QUERY, 'a wrong secret 5a1c'],
  [403, 'GET', `id=other&bcid=${BCID}`, CALLER.secret],
  [405, 'POST', QUERY, CALLER.secret],
]
test.each(errors)(
  'B20: returns %i as JSON with a capital Message and nothing else',
  async (status, method, query, secret) => {
    const reply = await getToken(service, query, { method, as: { id: 'app-1', secret } })
    expect(reply.status).toBe(status)
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/)
    expect(reply.headers['cache-control']).toBe('no-store')
    expect(JSON.parse(reply.body)).toEqual({ Message: expect.stringMatching(/./) })
  },
)

test('B21: returns the same bytes and challenge for every 401', async () => {
  const attempts = [
    {},
    { headers: { authorization: 'Basic' } },
    { headers: { authorization: 'Bearer abc' } },
    { as: { id: 'nobody', secret: CALLER.secret } },
    { as: { id: 'app-1', secret: 'a wrong secret 5a1c' } },
  ]
  for (const attempt of attempts) {
    const reply = await service.request(`/token?${QUERY}`, attempt)
    expect(reply.status).toBe(401)
    expect(reply.body).toBe('{"Message":"Unauthorized"}')
    const { 'x-request-id': _id, date: _date, ...headers } = reply.headers
    expect(headers).toEqual({
      'www-authenticate': 'Basic realm="BWS", charset="UTF-8"',
      'cache-control': 'no-store',
      'content-type': 'application/json; charset=utf-8',
      'content-length': '26',
      connection: 'keep-alive',
      'keep-alive': 'timeout=72',
    })
  }
})

describe('internal errors', () => {
  test('B22: returns 500 without internals, and logs the cause', async () => {
    const broken = {
      ...systemRandomness,
      bytes: (): Uint8Array => {
        throw new Error('entropy pool /dev/secret-path is dry')
      },
    }
    await using service = await startService({ randomness: broken })
    const reply = await getToken(service, `${QUERY}&challenge=true`)
    expect(reply).toMatchObject({ status: 500, body: '{"Message":"An error has occurred."}' })
    expect(service.log).toContainEqual(expect.objectContaining({ reason: 'internal_error', contract: 'bws' }))
    const unexpected = service.log.find(({ msg }) => msg === 'unexpected error')
    expect(unexpected).toMatchObject({ err: { message: 'entropy pool /dev/secret-path is dry' } })
  })

  test('B22: returns 503, not an unverifiable token, when no key is live', async () => {
    const keys = [{ secret: 'dGVzdC1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4uLi4', notAfter: '2030-01-01' }]
    const clock = createFrozenClock(Date.parse('2029-12-31'))
    await using service = await startService({ configuration: { keys }, clock })
    clock.advance(2 * 86_400_000)
    expect((await getToken(service, QUERY)).status).toBe(503)
  })
})

test('B23: sends no CORS headers for any Origin', async () => {
  const headers = { origin: 'https://app.example.com', 'access-control-request-method': 'GET' }
  const replies = [
    await getToken(service, QUERY, { headers }),
    await service.request('/token', { headers }),
    await service.request('/token', { method: 'OPTIONS', headers }),
  ]
  expect(replies.map(({ status }) => status)).toEqual([200, 401, 405])
  for (const reply of replies) {
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  }
})

test('B20: returns 405 in the words of the vendor', async () => {
  expect(messageOf(await service.request('/token', { method: 'DELETE' }))).toMatch(/GET and HEAD/)
})
