import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createKey, createKeyring, fingerprintOf, liveKeys, signingKey } from '../../../../src/core/crypto/keyring.ts'

const secret = new Uint8Array(32).fill(7)

test('names a key without an id after its position', () => {
  const ids = createKeyring([{ secret }, { id: 'mine', secret }, { secret }]).map(({ id }) => id)
  expect(ids).toEqual(['key-1', 'mine', 'key-3'])
})

test('rejects a key under 32 bytes without repeating it', () => {
  expect(() => createKey('a', secret.subarray(1))).toThrow(
    new RangeError('HS256 key too short: expected at least 32 bytes'),
  )
})

describe('keyring at a time', () => {
  const keyring = createKeyring([
    { id: 'first', secret, notAfter: 1_000 },
    { id: 'second', secret, notAfter: 2_000 },
  ])
  const idsAt = (now: number) => liveKeys(keyring, now).map(({ id }) => id)

  test('returns every key before its notAfter as live', () => {
    expect([idsAt(999), idsAt(1_000), idsAt(1_999), idsAt(2_000)]).toEqual([
      ['first', 'second'],
      ['second'],
      ['second'],
      [],
    ])
  })

  test('signs with the first live key, and throws when there is none', () => {
    expect([999, 1_000, 1_999].map((now) => signingKey(keyring, now).id)).toEqual(['first', 'second', 'second'])
    expect(() => signingKey(keyring, 2_000)).toThrow(
      expect.objectContaining({ name: 'NoSigningKeyError', message: expect.stringContaining('no live signing key') }),
    )
  })
})

describe('fingerprintOf', () => {
  test('returns the same fingerprint for a key whatever its id and its end', () => {
    expect(fingerprintOf(createKey('a', secret))).toBe(fingerprintOf(createKey('b', secret, 1)))
  })

  test('returns the same fingerprint in every release, because instances of two releases may run side by side', () => {
    expect(fingerprintOf(createKey('a', secret))).toBe('9256f2f99b84b536c9394ef91ebca04e')
  })

  test('returns different fingerprints for different keys', () => {
    expect(fingerprintOf(createKey('a', secret))).not.toBe(fingerprintOf(createKey('a', new Uint8Array(32).fill(8))))
  })

  test('returns a fingerprint of 128 bits that are neither part of the key nor of its plain digest', () => {
    const fingerprint = fingerprintOf(createKey('a', secret))
    expect(fingerprint).toMatch(/^[0-9a-f]{32}$/)
    expect(createHash('sha256').update(secret).digest('hex')).not.toContain(fingerprint)
    expect(Buffer.from(secret).toString('hex')).not.toContain(fingerprint)
  })
})
