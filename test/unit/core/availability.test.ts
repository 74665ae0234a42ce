import { expect, test } from 'vitest'
import { available, StoreUnavailableError } from '../../../src/core/availability.ts'

test('resolves to the value of a store step', async () => {
  expect(await available(Promise.resolve(1))).toBe(1)
  expect(await available(2)).toBe(2)
})

test('rejects with StoreUnavailableError and the cause when a store step rejects', async () => {
  const cause = new Error('away')
  const error = await available(Promise.reject(cause)).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(StoreUnavailableError)
  expect(error).toMatchObject({
    name: 'StoreUnavailableError',
    code: 'ERR_STORE_UNAVAILABLE',
    message: 'the store is unavailable',
    cause,
  })
})
