import * as crypto from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { signJws, verifyJws } from '../../../../src/core/crypto/jws.ts'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import { digestSecret, matchSecret } from '../../../../src/core/crypto/secrets.ts'

// Tests count digests and comparisons: elapsed time is too noisy to compare.

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>()
  return {
    ...real,
    hash: vi.fn(real.hash),
    createHmac: vi.fn(real.createHmac),
    timingSafeEqual: vi.fn(real.timingSafeEqual),
  }
})

/** Counts digests, HMACs and comparisons. */
const workOf = (act: () => unknown) => {
  vi.clearAllMocks()
  act()
  const { hash, createHmac, timingSafeEqual } = crypto
  return [hash, createHmac, timingSafeEqual].map((call) => vi.mocked(call).mock.calls.length)
}

describe('matchSecret', () => {
  const slot = (secret: string, notAfter = Number.POSITIVE_INFINITY) => ({ digest: digestSecret(secret), notAfter })

  test('B21: does the same work for an unknown id, a wrong secret, an expired one and the right one', () => {
    const slots = [slot('right')]
    const expired = [slot('right', 0)]
    const unknown = workOf(() => matchSecret('wrong', undefined, 0))
    expect(unknown).toEqual([1, 0, 1])
    expect(workOf(() => matchSecret('wrong', slots, 0))).toEqual(unknown)
    expect(workOf(() => matchSecret('right', slots, 0))).toEqual(unknown)
    expect(workOf(() => matchSecret('right', expired, 0))).toEqual(unknown)
  })

  test('compares every secret, even after a match', () => {
    const slots = [slot('first'), slot('second')]
    expect(workOf(() => matchSecret('first', slots, 0))).toEqual([1, 0, 2])
    expect(workOf(() => matchSecret('neither', slots, 0))).toEqual([1, 0, 2])
  })
})

test('computes one HMAC for every live key, even after a match', () => {
  const keys = [createKey('a', new Uint8Array(32).fill(1)), createKey('b', new Uint8Array(32).fill(2))]
  for (const key of keys) {
    const token = signJws({}, key)
    expect(workOf(() => verifyJws(token, keys, 0))).toEqual([0, 2, 2])
  }
})
