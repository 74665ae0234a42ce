import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createKey, createKeyring, fingerprintOf, liveKeys, signingKey } from '../../../../src/core/crypto/keyring.ts'

const secret = new Uint8Array(32).fill(7)

test('a key without a name is called by its place in the list', () => {
  const ids = createKeyring([{ secret }, { id: 'mine', secret }, { secret }]).map(({ id }) => id)
  expect(ids).toEqual(['key-1', 'mine', 'key-3'])
})

test('a key that is too short is refused, and not repeated', () => {
  expect(() => createKey('a', secret.subarray(1))).toThrow(new RangeError('an HS256 key has at least 32 bytes'))
})

describe('at a time', () => {
  const keyring = createKeyring([
    { id: 'first', secret, notAfter: 1_000 },
    { id: 'second', secret, notAfter: 2_000 },
  ])
  const idsAt = (now: number) => liveKeys(keyring, now).map(({ id }) => id)

  test('every key verifies that is before its end', () => {
    expect([idsAt(999), idsAt(1_000), idsAt(1_999), idsAt(2_000)]).toEqual([
      ['first', 'second'],
      ['second'],
      ['second'],
      [],
    ])
  })

  test('the first of them signs, and none when there is none', () => {
    expect([999, 1_000, 1_999].map((now) => signingKey(keyring, now).id)).toEqual(['first', 'second', 'second'])
    expect(() => signingKey(keyring, 2_000)).toThrow('no live signing key')
  })
})

describe('the fingerprint of a key', () => {
  test('is the same wherever the key is, whatever it is called', () => {
    expect(fingerprintOf(createKey('a', secret))).toBe(fingerprintOf(createKey('b', secret, 1)))
  })

  test('is the same in every release, since replicas of two may run side by side', () => {
    expect(fingerprintOf(createKey('a', secret))).toBe('9256f2f99b84b536c9394ef91ebca04e')
  })

  test('is another for another key', () => {
    expect(fingerprintOf(createKey('a', secret))).not.toBe(fingerprintOf(createKey('a', new Uint8Array(32).fill(8))))
  })

  test('is 128 bits that are neither the key nor its plain digest', () => {
    const fingerprint = fingerprintOf(createKey('a', secret))
    expect(fingerprint).toMatch(/^[0-9a-f]{32}$/)
    expect(createHash('sha256').update(secret).digest('hex')).not.toContain(fingerprint)
    expect(Buffer.from(secret).toString('hex')).not.toContain(fingerprint)
  })
})
