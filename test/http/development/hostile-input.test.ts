import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { redactPairs } from '../../../src/development/journal/redact.ts'
import { control, latest, startDevelopment } from '../../support/development.ts'
import { redeem } from '../../support/nevisfido.ts'
import type { Service } from '../../support/service.ts'

let service: Service
beforeAll(async () => {
  service = await startDevelopment()
})
afterAll(() => service.close())
beforeEach(async () => {
  await control(service, 'POST', '/reset')
})

const encode = (json: string): string => Buffer.from(json).toString('base64url')

/** Converting it to text throws. */
const WITHOUT_TEXT = '{"toString":1,"valueOf":1}'

/** Writing it as JSON overflows the stack. */
const DEEP = `${'['.repeat(15_000)}${']'.repeat(15_000)}`

const TOKENS: readonly (readonly [string, string])[] = [
  ['a header whose alg has no text', `${encode(`{"alg":${WITHOUT_TEXT}}`)}.${encode('{}')}.c2ln`],
  ['a header whose alg is deep', `${encode(`{"alg":${DEEP}}`)}.${encode('{}')}.c2ln`],
  ['an id without a text', `${encode('{}')}.${encode(`{"tokenid":${WITHOUT_TEXT},"jti":${WITHOUT_TEXT}}`)}.c2ln`],
  ['a deep id', `${encode('{}')}.${encode(`{"jti":${DEEP}}`)}.c2ln`],
  ['a deep claim', `${encode('{}')}.${encode(`{"more":${DEEP}}`)}.c2ln`],
]

describe.each(TOKENS)('a token with %s', (_, token) => {
  test.each(['/authz/bws/verify', '/authz/idscan/scanning'])(
    'L15: is refused and kept by %s like any other',
    async (path) => {
      const { status } = await service.request(path, { headers: { authorization: `Bearer ${token}` } })
      expect(status).toBe(401)
      expect(await latest(service)).toMatchObject({ path, status: 401, outcome: 'refused', reason: 'invalid_token' })
    },
  )

  test('L25: is decoded as one that is not accepted', async () => {
    const { status, json } = await control(service, 'POST', '/decode', { token })
    expect(status).toBe(200)
    expect(json).toMatchObject({ accepted: false, tokenId: expect.any(String) })
  })
})

test('L15: keeps a body of deep JSON as its size', async () => {
  const body = JSON.stringify({ token: 'x', more: '@' }).replace('"@"', DEEP)
  const { headers } = await redeem(service, 'registration', 'x', { body })
  const { json } = await control(service, 'GET', `/requests/${headers['x-request-id']}`)
  expect(json).toMatchObject({ body: `[${body.length} bytes of JSON that is too deep to show]` })
})

// Quadratic time would take many minutes.
test('L15: keeps a name that is given a million times', () => {
  const pairs = Array.from({ length: 1_000_000 }, (): [string, string] => ['a', ''])
  expect(redactPairs(pairs, () => false).a).toHaveLength(pairs.length)
})
