import { expect, test } from 'vitest'
import { AAID_PATTERN, keyOf } from '../../../../src/core/uaf/aaid.ts'

test.each([
  ['0123#abcd', true],
  ['ABCD#ef00', true],
  ['x0123#abcd', false],
  ['0123#abcdx', false],
  ['012#abcd', false],
  ['0123abcd', false],
  ['g123#abcd', false],
  ['', false],
])('tells whether a text is an AAID: %s', (text, isValid) => {
  expect(AAID_PATTERN.test(text)).toBe(isValid)
})

test('identifies a key whatever the case of its AAID, but not of its key id', () => {
  expect(keyOf({ aaid: 'abcd#0001', keyId: 'k' })).toBe(keyOf({ aaid: 'ABCD#0001', keyId: 'k' }))
  expect(keyOf({ aaid: 'abcd#0001', keyId: 'k' })).not.toBe(keyOf({ aaid: 'abcd#0001', keyId: 'K' }))
})
