import { expect, test } from 'vitest'
import { findSecrets } from '../../support/search.ts'

// What looks for secrets at the end of a run finds them.

const SECRET = 'a "secret" & more: ü'

test.each([
  ['as it is', SECRET],
  ['in JSON', JSON.stringify({ password: SECRET })],
  ['in a URL', `/token?secret=${encodeURIComponent(SECRET)}`],
  ['in a form', `${new URLSearchParams({ secret: SECRET })}`],
  ['at the end of bytes that are no text', Buffer.concat([Buffer.of(0xff, 0, 0xfe), Buffer.from(SECRET)])],
])('a secret is found %s', (_where, content) => {
  expect(findSecrets(Buffer.from(content as string), ['another one', SECRET])).toEqual([SECRET])
})

test.each(['', 'secret', SECRET.slice(1), SECRET.slice(0, -1), SECRET.toUpperCase()])(
  'nothing is found in %j',
  (text) => {
    expect(findSecrets(Buffer.from(text), [SECRET])).toEqual([])
  },
)

test('of secrets that end alike each is found by itself', () => {
  expect(findSecrets(Buffer.from('x first-0001 y'), ['first-0001', 'other-0001', '0001'])).toEqual([
    'first-0001',
    '0001',
  ])
})
