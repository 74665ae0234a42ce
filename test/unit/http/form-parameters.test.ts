import { afterEach, expect, test, vi } from 'vitest'
import { createParameterReader } from '../../../src/http/form-parameters.ts'

const read = createParameterReader(['token', 'grant_type'])

afterEach(() => {
  vi.restoreAllMocks()
})

test.each([
  ['%74oken=a', 'percent-encoded letters'],
  ['TOK%45N=a', 'upper case'],
  ['%ff=b&token=a', 'another name that is not UTF-8'],
])('reads %s, a name with %s', (text) => {
  expect(read(text)).toEqual({ values: { token: 'a', grant_type: undefined }, repeated: [], malformed: [] })
})

test.each(['to%6ben%ff=a', 'to%e2%84%aaen=a', '+token=a', 'token%00=a'])('ignores the unknown name of %s', (text) => {
  expect(read(text).values.token).toBeUndefined()
})

test('decodes no name in a way that can throw, whatever the number of names', () => {
  const decode = vi.spyOn(globalThis, 'decodeURIComponent')
  read('%ff=&'.repeat(1000))
  expect(decode).not.toHaveBeenCalled()
})

test('decodes only the first value of a name that is repeated', () => {
  const decode = vi.spyOn(globalThis, 'decodeURIComponent')
  expect(read('token=%ff&'.repeat(1000))).toMatchObject({ repeated: ['token'], malformed: ['token'] })
  expect(decode).toHaveBeenCalledTimes(1)
})
