import { expect, test } from 'vitest'
import { isRefusal, RefusedError } from '../../../src/store/redis/refusal.ts'

const CASES: [error: unknown, isRefused: boolean][] = [
  [new RefusedError('the Sentinels know no primary with the name other'), true],
  [new Error('NOPERM this user has no permissions'), true],
  [new Error('NOAUTH Authentication required.'), true],
  [new Error('WRONGPASS invalid username-password pair'), true],
  [new Error('NOPERMISSION'), false],
  [new Error('ERR it said NOAUTH'), false],
  [new Error('LOADING Redis is loading the dataset in memory'), false],
  ['NOAUTH', false],
  [undefined, false],
]

test.each(CASES)('tells whether only an operator can remove the cause: %s', (error, isRefused) => {
  expect(isRefusal(error)).toBe(isRefused)
})

test('has a name of its own', () => {
  expect(new RefusedError('no').name).toBe('RefusedError')
})
