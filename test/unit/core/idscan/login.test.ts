import { beforeEach, describe, expect, test } from 'vitest'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import {
  createPasswordChecker,
  type PasswordCheck,
  type PasswordChecker,
  PasswordQueueFullError,
} from '../../../../src/core/crypto/passwords.ts'
import { type Guard, noGuard } from '../../../../src/core/guard.ts'
import type { Attempt } from '../../../../src/core/guard-scopes.ts'
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

/** The stored passwords that were checked against. */
let checked: string[] = []
const counting: PasswordChecker = {
  check: (given) => {
    checked.push(given.stored)
    return real.check(given)
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

describe('password cache', () => {
  const psc = account('psc', 'right')

  test('caches a verified password for five minutes, then checks it again', async () => {
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

  test('does not extend the cache entry of a password when it is used', async () => {
    const login = create([psc])
    await login('psc', 'right', ADDRESS)
    for (let minute = 0; minute < 6; minute++) {
      clock.advance(60_000)
      await login('psc', 'right', ADDRESS)
    }
    expect(checked).toHaveLength(2)
  })

  test('does not use a cached password for another password, account or configuration', async () => {
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

  test('keeps the cached password after a wrong one', async () => {
    const login = create([psc])
    await login('psc', 'right', ADDRESS)
    await login('psc', 'wrong', ADDRESS)
    await login('psc', 'right', ADDRESS)
    expect(checked).toHaveLength(2)
  })

  test('never caches the password of a disabled account', async () => {
    const login = create([account('off', 'right', true)])
    for (let count = 0; count < 3; count++)
      expect(await login('off', 'right', ADDRESS)).toMatchObject({ refused: 'account_disabled' })
    expect(checked).toHaveLength(3)
  })
})

test.each([
  ['sensitive', { refused: 'unknown_account' }],
  ['insensitive', { account: { username: 'psc' } }],
] as const)('I7: with usernameCase %s, answers a name in another case with %o', async (usernameCase, answer) => {
  expect(await create([account('psc', 'right')], { usernameCase })('PsC', 'right', ADDRESS)).toMatchObject(answer)
})

describe('unknown names', () => {
  test('checks an unknown name against a configured hash, the same one each time', async () => {
    const accounts = Array.from({ length: 8 }, (_, at) => account(`account-${at}`, `password-${at}`))
    const login = create(accounts)
    for (const name of ['a', 'a', 'a']) expect(await login(name, 'x', ADDRESS)).toEqual({ refused: 'unknown_account' })
    expect(new Set(checked).size).toBe(1)
    for (let at = 0; at < 40; at++) await login(`name-${at}`, 'x', ADDRESS)
    expect(new Set(checked).size).toBeGreaterThan(4)
  })

  test('rejects an unknown name with the password of its decoy hash', async () => {
    const login = create([account('psc', 'right')])
    expect(await login('nobody', 'right', ADDRESS)).toEqual({ refused: 'unknown_account' })
  })

  test('checks an unknown name against a decoy hash where no account is configured', async () => {
    expect(await create([])('nobody', 'x', ADDRESS)).toEqual({ refused: 'unknown_account' })
    expect(checked[0]).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  })
})

test('skips a queued check once the guard blocks it', async () => {
  let closed = false
  const proceeded: boolean[] = []
  const login = create([account('psc', 'right')], {
    guard: { ...noGuard, blockedFor: () => (closed ? 60_000 : 0) },
    passwords: {
      check: async ({ proceed }) => {
        proceeded.push(proceed())
        closed = true
        proceeded.push(proceed())
        return true
      },
    },
  })
  expect(await login('psc', 'right', ADDRESS)).toMatchObject({ refused: 'blocked', retryAfterMs: 60_000 })
  expect(proceeded).toEqual([true, false])
})

describe('guesses', () => {
  const psc = account('psc', 'right')
  const full: PasswordChecker = {
    check: async () => {
      throw new PasswordQueueFullError('full')
    },
  }

  /** A guard that notes the failures. */
  function createNotingGuard() {
    const failed: Attempt[] = []
    const guard: Guard = {
      ...noGuard,
      fail: async (attempt) => {
        failed.push(attempt)
        return false
      },
    }
    return { guard, failed }
  }

  test('count where they differ from a cached password and the queue is full', async () => {
    const { guard, failed } = createNotingGuard()
    let passwords = real
    const login = create([psc, account('other', 'right')], {
      guard,
      passwords: { check: (given) => passwords.check(given) },
    })
    await login('psc', 'right', ADDRESS)
    passwords = full
    for (const name of ['psc', 'other', 'unknown']) {
      await expect(login(name, 'wrong', ADDRESS)).rejects.toThrow(PasswordQueueFullError)
    }
    expect(failed).toEqual([{ address: ADDRESS, account: 'psc' }])
    expect(await login('psc', 'right', ADDRESS)).toEqual({ account: psc })
    clock.advance(300_000)
    await expect(login('psc', 'wrong', ADDRESS)).rejects.toThrow(PasswordQueueFullError)
    expect(failed).toHaveLength(1)
  })

  test('at one name from one address are evaluated one after the other', async () => {
    const { guard, failed } = createNotingGuard()
    const finish: (() => void)[] = []
    const login = create([psc], {
      guard,
      passwords: {
        check: async (given) => {
          await new Promise<void>((resolve) => finish.push(resolve))
          return real.check(given)
        },
      },
    })
    const attempts = [login('psc', 'wrong', ADDRESS), login('psc', 'right', ADDRESS), login('psc', 'right', ADDRESS)]
    const elsewhere = login('psc', 'wrong', '10.0.0.2')
    expect(finish).toHaveLength(2)
    finish[1]?.()
    expect(await elsewhere).toMatchObject({ refused: 'bad_password' })
    finish[0]?.()
    expect(await attempts[0]).toMatchObject({ refused: 'bad_password' })
    await expect.poll(() => finish.length).toBe(3)
    finish[2]?.()
    // The third finds the cached password of the second.
    expect(await Promise.all(attempts.slice(1))).toEqual([{ account: psc }, { account: psc }])
    expect(finish).toHaveLength(3)
    expect(failed).toHaveLength(2)
  })

  test('at one name from one address wait, 64 at a time', async () => {
    const gate = Promise.withResolvers<boolean>()
    const login = create([psc], { passwords: { check: () => gate.promise } })
    const attempt = () => login('psc', 'guess', ADDRESS)
    const [checking, ...waiting] = Array.from({ length: 65 }, attempt)
    for (let extra = 0; extra < 2; extra++)
      await expect(attempt()).rejects.toThrow(new PasswordQueueFullError('too many attempts at one name are waiting'))
    gate.resolve(false)
    const answers = await Promise.all([checking, ...waiting])
    expect(new Set(answers.map((answer) => answer && 'refused' in answer && answer.refused))).toEqual(
      new Set(['bad_password']),
    )

    const again = await Promise.allSettled(Array.from({ length: 66 }, attempt))
    expect(again.filter(({ status }) => status === 'rejected')).toHaveLength(1)
  })

  test('are refused as blocked where another process has reached the limit', async () => {
    const login = create([psc], { guard: { ...noGuard, fail: async () => true } })
    expect(await login('psc', 'wrong', ADDRESS)).toMatchObject({ refused: 'blocked' })
  })
})

describe('createPasswordChecker', () => {
  const check = (checker: PasswordChecker, changes: Partial<PasswordCheck> = {}) =>
    checker.check({ stored: 'plain:a', password: 'a', network: ADDRESS, proceed: () => true, ...changes })

  test('rejects checks beyond the queue limit at once, with PasswordQueueFullError', async () => {
    const checker = createPasswordChecker({ concurrency: 1, waiting: 2 })
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => check(checker)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected')
        expect(outcome.reason).toMatchObject({
          name: 'PasswordQueueFullError',
          code: 'ERR_PASSWORD_QUEUE_FULL',
          message: '2 password checks are waiting',
        })
  })

  test('serves networks in turn, and rejects the newest check of the one with most for another', async () => {
    const checker = createPasswordChecker({ concurrency: 1, waiting: 3 })
    const served: string[] = []
    const outcomes = ['a1', 'a2', 'a3', 'a4', 'b1'].map((name) =>
      check(checker, { network: name.slice(0, 1), proceed: () => served.push(name) > 0 }).then(
        () => `${name} checked`,
        ({ code }: PasswordQueueFullError) => `${name} ${code}`,
      ),
    )
    expect(await Promise.all(outcomes)).toEqual([
      'a1 checked',
      'a2 checked',
      'a3 checked',
      'a4 ERR_PASSWORD_QUEUE_FULL',
      'b1 checked',
    ])
    expect(served).toEqual(['a1', 'b1', 'a2', 'a3'])
  })

  test('rejects with the error of a check, and goes on', async () => {
    const checker = createPasswordChecker({ concurrency: 1, waiting: 1 })
    await expect(check(checker, { stored: 'no hash' })).rejects.toThrow()
    expect(await check(checker)).toBe(true)
  })

  test('skips a check that may not proceed', async () => {
    expect(await check(real, { proceed: () => false })).toBe(false)
    expect(await check(real)).toBe(true)
    expect(await check(real, { password: 'b' })).toBe(false)
  })
})

test('rejects a keyring without keys, which could not name unknown accounts', () => {
  expect(() => create([], { keyring: [] })).toThrow(new RangeError('no key is configured; expected at least one'))
})
