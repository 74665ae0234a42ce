import { expect, test } from 'vitest'
import { createPasswordChecker, hashPassword, isPasswordHash } from '../../../../src/core/crypto/passwords.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

test('the salt of a hash is the chance that is handed in', async () => {
  const hash = await hashPassword('right', createPredictableRandomness())
  expect(hash.split('$').slice(0, 5)).toEqual(HASH.split('$').slice(0, 5))
})

test.each([
  ['argon2id', HASH, true],
  ['argon2i', HASH.replace('argon2id', 'argon2i'), false],
  ['bcrypt', '$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234', false],
  ['argon2id without a hash', '$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw', false],
  ['argon2id with parameters that there are not', HASH.replace('t=2', 't=0'), false],
  ['a text', 'right', false],
  ['nothing', '', false],
])('%s is a hash that can be checked, or not', (_what, text, checkable) => {
  expect(isPasswordHash(text)).toBe(checkable)
})

test.each([
  ['right', true],
  ['wrong', false],
  ['plain:right', false],
])('a password that is configured as text is compared: %s', async (password, matches) => {
  const passwords = createPasswordChecker({ concurrency: 1, waiting: 1 })
  expect(await passwords.check('plain:right', password, () => true)).toBe(matches)
})

test('a password that is stored as a hash is checked against that', async () => {
  const passwords = createPasswordChecker({ concurrency: 1, waiting: 1 })
  const stored = await hashPassword('right', createPredictableRandomness())
  expect(await passwords.check(stored, 'right', () => true)).toBe(true)
  expect(await passwords.check(stored, 'wrong', () => true)).toBe(false)
})
