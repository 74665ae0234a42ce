import { createHash } from 'node:crypto'
import { verify } from '@node-rs/argon2'
import { describe, expect, test } from 'vitest'
import { hashPassword } from '../../../../src/core/crypto/passwords.ts'
import { digestSecret, matchSecret } from '../../../../src/core/crypto/secrets.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'

const slot = (secret: string, notAfter = Number.POSITIVE_INFINITY) => ({ digest: digestSecret(secret), notAfter })

describe('secrets', () => {
  test('computes SHA-256 of a secret in UTF-8', () => {
    expect(Buffer.from(digestSecret('pässwörd'))).toEqual(createHash('sha256').update('pässwörd', 'utf8').digest())
  })

  test('returns the index of the slot that matches', () => {
    const slots = [slot('old', 1_000), slot('new')]
    expect(matchSecret('old', slots, 999)).toBe(0)
    expect(matchSecret('new', slots, 999)).toBe(1)
    expect(matchSecret('neither', slots, 999)).toBeUndefined()
  })

  test('rejects a slot from its notAfter on', () => {
    expect(matchSecret('old', [slot('old', 1_000), slot('new')], 1_000)).toBeUndefined()
  })

  test('never matches an unknown id, or one without slots', () => {
    expect(matchSecret('', undefined, 0)).toBeUndefined()
    expect(matchSecret('', [], 0)).toBeUndefined()
  })
})

describe('passwords', () => {
  test('hashes passwords with argon2id, each with its own salt, and includes the parameters', async () => {
    const randomness = createPredictableRandomness()
    const hash = await hashPassword('päss', randomness)
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
    expect(await hashPassword('päss', randomness)).not.toBe(hash)
    expect(await verify(hash, 'päss')).toBe(true)
    expect(await verify(hash, 'Päss')).toBe(false)
  })
})
