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
  expect(findSecrets(Buffer.from('x first-0001 y'), ['first-0001', 'other-0001', '0001'])).toEqual([
    'first-0001',
    '0001',
  ])
})
