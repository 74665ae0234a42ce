import { expect, test } from 'vitest'
import { outsideValidity } from '../../../src/core/validity.ts'

test.each([
  ['before its first millisecond', 9_999, 'token_not_yet_valid'],
  ['in its first millisecond', 10_000, undefined],
  ['in its last millisecond', 19_999, undefined],
  ['after its last millisecond', 20_000, 'token_expired'],
])('returns the verdict for a token valid from second 10 to 20, %s', (_when, now, refused) => {
  expect(outsideValidity({ nbf: 10, exp: 20 }, now)).toBe(refused)
})
