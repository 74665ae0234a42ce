import * as crypto from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { signJws, verifyJws } from '../../../../src/core/crypto/jws.ts'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import { digestSecret, matchSecret } from '../../../../src/core/crypto/secrets.ts'

// Time itself is no matter for a test. What is done is: the same digests and the same comparisons, whatever the outcome.

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>()
  return { ...real, hash: vi.fn(real.hash), timingSafeEqual: vi.fn(real.timingSafeEqual) }
})

/** How many digests are made and how many comparisons. */
const workOf = (act: () => unknown) => {
  vi.clearAllMocks()
  act()
  return [vi.mocked(crypto.hash).mock.calls.length, vi.mocked(crypto.timingSafeEqual).mock.calls.length]
}

describe('secrets', () => {
  const slot = (secret: string, notAfter = Number.POSITIVE_INFINITY) => ({ digest: digestSecret(secret), notAfter })

  test('B21: an unknown id takes the work of a wrong secret, and of the right one', () => {
    const slots = [slot('right')]
    const expired = [slot('right', 0)]
    const unknown = workOf(() => matchSecret('wrong', undefined, 0))
    expect(unknown).toEqual([1, 1])
    expect(workOf(() => matchSecret('wrong', slots, 0))).toEqual(unknown)
    expect(workOf(() => matchSecret('right', slots, 0))).toEqual(unknown)
    expect(workOf(() => matchSecret('right', expired, 0))).toEqual(unknown)
  })

  test('of several secrets every one is compared, also behind the one that matched', () => {
    const slots = [slot('first'), slot('second')]
    expect(workOf(() => matchSecret('first', slots, 0))).toEqual([1, 2])
    expect(workOf(() => matchSecret('neither', slots, 0))).toEqual([1, 2])
  })
})

test('every live key is tried, also behind the one that verified: two digests for each', () => {
  const keys = [createKey('a', new Uint8Array(32).fill(1)), createKey('b', new Uint8Array(32).fill(2))]
  for (const key of keys) {
    const token = signJws({}, key)
    expect(workOf(() => verifyJws(token, keys, 0))).toEqual([4, 2])
  }
})
