import { beforeEach, describe, expect, test } from 'vitest'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import {
  createPasswordChecker,
  type PasswordChecker,
  PasswordQueueFullError,
} from '../../../../src/core/crypto/passwords.ts'
import { noGuard } from '../../../../src/core/guard.ts'
import type { IdscanAccount } from '../../../../src/core/idscan/account.ts'
import { createIdscanLogin, type IdscanLoginDependencies } from '../../../../src/core/idscan/login.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'
import { createFrozenClock } from '../../../support/time.ts'

const account = (username: string, password: string, disabled = false): IdscanAccount => ({
  username,
  password: `plain:${password}`,
  disabled,
  areas: new Set(),
  memberOf: [],
})

const clock = createFrozenClock()
const real = createPasswordChecker({ concurrency: 1, waiting: 10 })

/** What has been checked, and against which stored password. */
let checked: string[] = []
const counting: PasswordChecker = {
  check: (stored, password, proceed) => {
    checked.push(stored)
    return real.check(stored, password, proceed)
  },
}
beforeEach(() => {
  checked = []
})

const create = (accounts: IdscanAccount[], parts: Partial<IdscanLoginDependencies> = {}) =>
  createIdscanLogin({
    accounts,
    usernameCase: 'sensitive',
    passwords: counting,
    guard: noGuard,
    keyring: [createKey('key', new Uint8Array(32))],
    clock,
    randomness: createPredictableRandomness(),
    ...parts,
  })

const ADDRESS = '10.0.0.1'

describe('a verified password', () => {
  const psc = account('psc', 'right')

  test('is taken at its word for five minutes, then checked again', async () => {
    const login = create([psc])
    for (let count = 0; count < 5; count++) expect(await login('psc', 'right', ADDRESS)).toEqual({ account: psc })
    expect(checked).toHaveLength(1)
    clock.advance(299_999)
    await login('psc', 'right', ADDRESS)
    expect(checked).toHaveLength(1)
    clock.advance(1)
    expect(await login('psc', 'right', ADDRESS)).toEqual({ account: psc })
    expect(checked).toHaveLength(2)
  })

  test('is not prolonged by being used', async () => {
    const login = create([psc])
    await login('psc', 'right', ADDRESS)
    for (let minute = 0; minute < 6; minute++) {
      clock.advance(60_000)
      await login('psc', 'right', ADDRESS)
    }
    expect(checked).toHaveLength(2)
  })

  test('says nothing for another password, another account or another configuration', async () => {
    const login = create([psc, account('other', 'right too')])
    await login('psc', 'right', ADDRESS)
    expect(await login('psc', 'wrong', ADDRESS)).toMatchObject({ refused: 'bad_password' })
    expect(await login('other', 'right', ADDRESS)).toMatchObject({ refused: 'bad_password' })
    expect(await create([account('psc', 'changed')])('psc', 'right', ADDRESS)).toMatchObject({
      refused: 'bad_password',
    })
    expect(await create([account('psc', 'right', true)])('psc', 'right', ADDRESS)).toMatchObject({
      refused: 'account_disabled',
    })
    expect(checked).toHaveLength(5)
  })

  test('a wrong one in between does not make it forgotten', async () => {
    const login = create([psc])
    await login('psc', 'right', ADDRESS)
    await login('psc', 'wrong', ADDRESS)
    await login('psc', 'right', ADDRESS)
    expect(checked).toHaveLength(2)
  })

  test('of a disabled account is never remembered', async () => {
    const login = create([account('off', 'right', true)])
    for (let count = 0; count < 3; count++)
      expect(await login('off', 'right', ADDRESS)).toMatchObject({ refused: 'account_disabled' })
    expect(checked).toHaveLength(3)
  })
})

test.each([
  ['sensitive', { refused: 'unknown_account' }],
  ['insensitive', { account: { username: 'psc' } }],
] as const)('I7: with usernameCase: %s a name in another case is answered %o', async (usernameCase, answer) => {
  expect(await create([account('psc', 'right')], { usernameCase })('PsC', 'right', ADDRESS)).toMatchObject(answer)
})

describe('a name that nobody has', () => {
  test('is checked against a configured hash, always the same for the same name', async () => {
    const accounts = Array.from({ length: 8 }, (_, at) => account(`account-${at}`, `password-${at}`))
    const login = create(accounts)
    for (const name of ['a', 'a', 'a']) expect(await login(name, 'x', ADDRESS)).toEqual({ refused: 'unknown_account' })
    expect(new Set(checked).size).toBe(1)
    for (let at = 0; at < 40; at++) await login(`name-${at}`, 'x', ADDRESS)
    expect(new Set(checked).size).toBeGreaterThan(4)
  })

  test('is not let in with the password of that hash', async () => {
    const login = create([account('psc', 'right')])
    expect(await login('nobody', 'right', ADDRESS)).toEqual({ refused: 'unknown_account' })
  })

  test('takes the work of a check even where no account is configured', async () => {
    expect(await create([])('nobody', 'x', ADDRESS)).toEqual({ refused: 'unknown_account' })
    expect(checked[0]).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  })
})

test('a guess whose turn comes when the door has closed is not checked any more', async () => {
  let closed = false
  const proceeded: boolean[] = []
  const login = create([account('psc', 'right')], {
    guard: { ...noGuard, blockedFor: () => (closed ? 60_000 : 0) },
    passwords: {
      check: async (_stored, _password, proceed) => {
        proceeded.push(proceed())
        closed = true
        proceeded.push(proceed())
        return true
      },
    },
  })
  expect(await login('psc', 'right', ADDRESS)).toMatchObject({ refused: 'blocked', retryAfter: 60_000 })
  expect(proceeded).toEqual([true, false])
})

describe('the checker', () => {
  test('answers no more than may wait, and at once', async () => {
    const checker = createPasswordChecker({ concurrency: 1, waiting: 2 })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () => checker.check('plain:a', 'a', () => true)),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(PasswordQueueFullError)
  })

  test('does not make a check that has become pointless', async () => {
    expect(await real.check('plain:a', 'a', () => false)).toBe(false)
    expect(await real.check('plain:a', 'a', () => true)).toBe(true)
    expect(await real.check('plain:a', 'b', () => true)).toBe(false)
  })
})
