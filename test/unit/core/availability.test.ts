import { expect, test } from 'vitest'
import { available, StoreUnavailableError } from '../../../src/core/availability.ts'

test('what a store answers comes through', async () => {
  expect(await available(Promise.resolve(1))).toBe(1)
  expect(await available(2)).toBe(2)
})

test('whatever goes wrong with it is one error, which keeps what the store said', async () => {
  const cause = new Error('away')
  const error = await available(Promise.reject(cause)).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(StoreUnavailableError)
  expect(error).toMatchObject({ message: 'the store cannot be asked', cause })
})
