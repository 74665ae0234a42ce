import { expect, test } from 'vitest'
import { findSecrets } from '../../support/search.ts'

const SECRET = 'a "secret" & more: ü'

test.each([
  ['verbatim', SECRET],
  ['in JSON', JSON.stringify({ password: SECRET })],
  ['in a URL', `/token?secret=${encodeURIComponent(SECRET)}`],
  ['in a form', `${new URLSearchParams({ secret: SECRET })}`],
  ['at the end of bytes that are not text', Buffer.concat([Buffer.of(0xff, 0, 0xfe), Buffer.from(SECRET)])],
])('finds a secret %s', (_where, content) => {
  expect(findSecrets(Buffer.from(content as string), ['another one', SECRET])).toEqual([SECRET])
})

test.each(['', 'secret', SECRET.slice(1), SECRET.slice(0, -1), SECRET.toUpperCase()])(
  'finds no secret in %j',
  (text) => {
    expect(findSecrets(Buffer.from(text), [SECRET])).toEqual([])
  },
)

test('finds each of several secrets with the same ending', () => {
  const secrets = ['first-secret-0001', 'other-secret-0001', 'secret-0001']
  expect(findSecrets(Buffer.from('x first-secret-0001 y'), secrets)).toEqual(['first-secret-0001', 'secret-0001'])
})

test('ignores secrets under eight bytes, which random text contains by chance', () => {
  expect(findSecrets(Buffer.from('x 1234567 y 12345678 z'), ['1234567', '12345678'])).toEqual(['12345678'])
})
