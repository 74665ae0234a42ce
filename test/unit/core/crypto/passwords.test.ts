import { setImmediate as endOfTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import {
  createPasswordChecker,
  hashPassword,
  isPasswordHash,
  type PasswordChecker,
} from '../../../../src/core/crypto/passwords.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'

const check = (passwords: PasswordChecker, stored: string, password: string) =>
  passwords.check({ stored, password, network: '10.0.0.1', proceed: () => true })

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

test('hashes a password with the salt that randomness returns', async () => {
  const hash = await hashPassword('right', createPredictableRandomness())
  expect(hash.split('$').slice(0, 5)).toEqual(HASH.split('$').slice(0, 5))
})

test.each([
  ['argon2id', HASH, true],
  ['argon2i', HASH.replace('argon2id', 'argon2i'), false],
  ['bcrypt', '$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234', false],
  ['argon2id without a hash', '$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw', false],
  ['argon2id with invalid parameters', HASH.replace('t=2', 't=0'), false],
  ['a text', 'right', false],
  ['nothing', '', false],
])('tells whether a text is a valid argon2id hash: %s', (_what, text, checkable) => {
  expect(isPasswordHash(text)).toBe(checkable)
})

test.each([
  ['right', true],
  ['wrong', false],
  ['plain:right', false],
])('compares a password configured as plain text: %s', async (password, matches) => {
  const passwords = createPasswordChecker({ concurrency: 1, waiting: 1 })
  expect(await check(passwords, 'plain:right', password)).toBe(matches)
})

test('checks a password against a stored argon2id hash', async () => {
  const passwords = createPasswordChecker({ concurrency: 1, waiting: 1 })
  const stored = await hashPassword('right', createPredictableRandomness())
  expect(await check(passwords, stored, 'right')).toBe(true)
  expect(await check(passwords, stored, 'wrong')).toBe(false)
})

test('counts a check that runs towards its limits, and never starts one that it has refused', async () => {
  const passwords = createPasswordChecker({ concurrency: 1, waiting: 1 })
  const stored = await hashPassword('right', createPredictableRandomness())
  const started: string[] = []
  const begin = (name: string) =>
    passwords
      .check({
        stored,
        password: 'right',
        network: '10.0.0.1',
        proceed: () => {
          started.push(name)
          return true
        },
      })
      .catch(({ name: error }: Error) => error)
  const first = begin('first')
  await endOfTurn()
  expect(started).toEqual(['first'])
  const [second, third] = [begin('second'), begin('third')]
  expect(await third).toBe('PasswordQueueFullError')
  expect(await Promise.all([first, second])).toEqual([true, true])
  expect(await begin('fourth')).toBe(true)
  expect(started).toEqual(['first', 'second', 'fourth'])
})
