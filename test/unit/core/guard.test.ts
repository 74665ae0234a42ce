import { afterEach, describe, expect, test } from 'vitest'
import { clientNetwork } from '../../../src/core/address.ts'
import { type Attempt, createGuard, type Guard, type GuardMemory, isBlock, noGuard } from '../../../src/core/guard.ts'
import type { FailedAttemptStore } from '../../../src/core/ports/failed-attempt-store.ts'
import { openStore } from '../../support/stores.ts'
import { createFrozenClock } from '../../support/time.ts'

const settings = { accountFailures: 3, addressFailures: 5, window: 60, block: 300 }
const clock = createFrozenClock()
let store = await openStore('failures', 'sqlite::memory:')
let blocks: string[] = []
let errors: unknown[] = []

const create = (from: FailedAttemptStore = store, memory: GuardMemory = { counts: new Map() }): Guard =>
  createGuard({
    memory,
    settings,
    store: from,
    clock,
    onBlock: (key) => blocks.push(key),
    onStoreError: (error) => errors.push(error),
  })

afterEach(async () => {
  await store.close()
  store = await openStore('failures', 'sqlite::memory:')
  blocks = []
  errors = []
})

async function fail(guard: Guard, attempt: Attempt, times: number): Promise<void> {
  for (let count = 0; count < times; count++) await guard.fail(attempt)
}

const psc = { address: '10.0.0.1', account: 'psc' }

describe('passwords', () => {
  test('blocks an account for an address after three failures, for the length of a block', async () => {
    const guard = create()
    await fail(guard, psc, 2)
    expect(guard.blockedFor(psc)).toBe(0)
    await fail(guard, psc, 1)
    expect(guard.blockedFor(psc)).toBe(300_000)
    expect(blocks).toEqual(['account psc from 10.0.0.1'])
    clock.advance(299_999)
    expect(guard.blockedFor(psc)).toBe(1)
    clock.advance(1)
    expect(guard.blockedFor(psc)).toBe(0)
  })

  test('starts counting again after a block', async () => {
    const guard = create()
    await fail(guard, psc, 3)
    clock.advance(300_000)
    await fail(guard, psc, 2)
    expect(guard.blockedFor(psc)).toBe(0)
  })

  test('does not add up failures further apart than the window', async () => {
    const guard = create()
    await fail(guard, psc, 2)
    clock.advance(60_000)
    await fail(guard, psc, 2)
    expect(guard.blockedFor(psc)).toBe(0)
  })

  test('does not block other accounts and other addresses', async () => {
    const guard = create()
    await fail(guard, psc, 3)
    expect(guard.blockedFor({ ...psc, account: 'other' })).toBe(0)
    expect(guard.blockedFor({ ...psc, address: '10.0.0.2' })).toBe(0)
    expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(0)
  })

  test('blocks an account for every address after ten times as many failures', async () => {
    const guard = create()
    for (let address = 0; address < 14; address++) await fail(guard, { ...psc, address: `10.0.1.${address}` }, 2)
    expect(guard.blockedFor({ ...psc, address: '10.9.9.9' })).toBe(0)
    await fail(guard, { ...psc, address: '10.0.2.1' }, 2)
    expect(guard.blockedFor({ ...psc, address: '10.9.9.9' })).toBe(300_000)
    expect(guard.blockedFor({ address: '10.9.9.9', account: 'other' })).toBe(0)
    expect(blocks).toEqual(['account psc from everywhere'])
  })

  test('does not count failures during a block, nor extend it', async () => {
    const guard = create()
    await fail(guard, psc, 3)
    clock.advance(100_000)
    await fail(guard, psc, 50)
    expect(guard.blockedFor(psc)).toBe(200_000)
    expect(guard.blockedFor({ ...psc, address: '10.9.9.9' })).toBe(0)
  })

  test("forgets only the account's failures from that address after a success", async () => {
    const guard = create()
    await fail(guard, psc, 2)
    await fail(guard, { ...psc, address: '10.0.0.2' }, 2)
    await fail(guard, { address: '10.0.0.1' }, 4)
    guard.succeed(psc)
    await fail(guard, psc, 2)
    expect(guard.blockedFor(psc)).toBe(0)
    await fail(guard, { ...psc, address: '10.0.0.2' }, 1)
    expect(guard.blockedFor({ ...psc, address: '10.0.0.2' })).toBe(300_000)
    guard.succeed({ address: '10.0.0.1' })
    await fail(guard, { address: '10.0.0.1' }, 1)
    expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(300_000)
  })
})

describe("machines' secrets", () => {
  test('blocks an address after five wrong machine secrets, whatever the id', async () => {
    const guard = create()
    await fail(guard, { address: '10.0.0.1' }, 5)
    expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(300_000)
    expect(guard.blockedFor({ address: '10.0.0.2' })).toBe(0)
    expect(guard.blockedFor(psc)).toBe(0)
  })

  test('counts fifty concurrent failures before the store has answered', async () => {
    const guard = create()
    const attempts = Array.from({ length: 50 }, () => {
      const allowed = guard.blockedFor({ address: '10.0.0.1' }) === 0
      return guard.fail({ address: '10.0.0.1' }).then(() => allowed)
    })
    expect((await Promise.all(attempts)).filter(Boolean)).toHaveLength(5)
  })
})

describe('with other processes on the same store', () => {
  test('adds up failures of several processes', async () => {
    const [one, two] = [create(), create()]
    await fail(one, psc, 2)
    await fail(two, psc, 1)
    expect(two.blockedFor(psc)).toBe(300_000)
    expect(one.blockedFor(psc)).toBe(0)
    await one.refresh()
    expect(one.blockedFor(psc)).toBe(300_000)
  })

  test('lifts a block in every process with its next refresh', async () => {
    const [one, two] = [create(), create()]
    await fail(one, psc, 3)
    await two.refresh()
    await store.remove('account psc from 10.0.0.1', 100)
    await Promise.all([one.refresh(), two.refresh()])
    expect([one.blockedFor(psc), two.blockedFor(psc)]).toEqual([0, 0])
  })

  test('forgets failures that another process counted after a success', async () => {
    const [one, two] = [create(), create()]
    await fail(one, psc, 2)
    await two.refresh()
    two.succeed(psc)
    // The guard does not wait for its removal; a later write completes after it.
    await store.remove('none', 1)
    await one.refresh()
    await fail(one, psc, 2)
    expect(one.blockedFor(psc)).toBe(0)
  })
})

test('keeps a block of another process after a success', async () => {
  const [one, two] = [create(), create()]
  await fail(one, psc, 1)
  await two.refresh()
  await fail(one, psc, 2)
  two.succeed(psc)
  await two.refresh()
  expect(two.blockedFor(psc)).toBe(300_000)
})

test('counts in memory while the store fails, and reports each error', async () => {
  const failing = async (): Promise<never> => {
    throw new Error('store failed')
  }
  const guard = create({ add: failing, extend: failing, remove: failing, list: failing, close: async () => undefined })
  await fail(guard, psc, 2)
  guard.succeed(psc)
  await fail(guard, psc, 3)
  // Each failure is two steps, for the address and for everywhere; the success is one more.
  expect(errors).toHaveLength(2 * 5 + 1)
  await guard.refresh()
  expect(errors).toHaveLength(2 * 5 + 2)
  expect(guard.blockedFor(psc)).toBe(300_000)
})

test('drops failures below the limit after the window while the store fails', async () => {
  const guard = create({
    ...store,
    add: async () => {
      throw new Error('store failed')
    },
  })
  await fail(guard, psc, 2)
  clock.advance(60_000)
  await fail(guard, psc, 1)
  expect(guard.blockedFor(psc)).toBe(0)
})

test('loses no failure in a refresh during a store step', async () => {
  const guard: Guard = create({
    ...store,
    add: async (...words) => {
      const added = await store.add(...words)
      await store.remove(added.key, 100)
      await guard.refresh()
      return { ...added, failures: 3 }
    },
  })
  await fail(guard, psc, 1)
  expect(guard.blockedFor(psc)).toBe(300_000)
})

test('keeps blocks during a flood of invented names, in memory and in a refresh', async () => {
  const guard = create()
  await fail(guard, psc, 3)
  await fail(guard, { address: '10.0.0.1' }, 5)
  for (let at = 0; at < 3_000; at++) await guard.fail({ address: '10.0.0.9', account: `invented-${at}` })
  expect(guard.blockedFor(psc)).toBe(300_000)
  await guard.refresh()
  expect(guard.blockedFor(psc)).toBe(300_000)
  expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(300_000)
})

test('keeps the latest two thousand counts in memory', async () => {
  const memory: GuardMemory = { counts: new Map() }
  const guard = create(store, memory)
  const countOf = (at: number) => memory.counts.get(`address 10.1.${at >> 8}.${at & 255}`)
  for (let at = 0; at < 2_001; at++) {
    await guard.fail({ address: `10.1.${at >> 8}.${at & 255}` })
    // A second failure makes the first count the newest.
    if (at === 1_999) {
      expect(memory.counts.size).toBe(2_000)
      await guard.fail({ address: '10.1.0.0' })
    }
  }
  expect(memory.counts.size).toBe(2_000)
  expect([0, 1, 2_000].map((at) => countOf(at)?.failures)).toEqual([2, undefined, 1])
})

test('keeps failures of an address after a machine succeeds', async () => {
  const guard = create()
  await fail(guard, { address: '10.0.0.1' }, 4)
  guard.succeed({ address: '10.0.0.1' })
  await fail(guard, { address: '10.0.0.1' }, 1)
  expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(300_000)
})

test('keeps failures of an account named "undefined" after a machine succeeds', async () => {
  const guard = create()
  const oddly = { address: '10.0.0.1', account: 'undefined' }
  await fail(guard, oddly, 2)
  guard.succeed({ address: '10.0.0.1' })
  await fail(guard, oddly, 1)
  expect(guard.blockedFor(oddly)).toBe(300_000)
})

test('keeps the latest blocks when there are more than memory holds', async () => {
  const guard = create()
  for (let at = 0; at < 2_010; at++) {
    for (let count = 0; count < 5; count++) await guard.fail({ address: `10.1.${at >> 8}.${at & 255}` })
  }
  expect(guard.blockedFor({ address: '10.1.7.217' })).toBe(300_000)
})

test('runs only one refresh at a time', async () => {
  let listings = 0
  let answer = (): void => undefined
  const slow = create({
    ...store,
    list: async () => {
      listings += 1
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      return []
    },
  })
  const first = slow.refresh()
  await slow.refresh()
  expect(listings).toBe(1)
  answer()
  await first
})

test('blocks nothing without a guard', async () => {
  await fail(noGuard, psc, 100)
  noGuard.succeed(psc)
  await noGuard.refresh()
  expect(noGuard.blockedFor(psc)).toBe(0)
})

test('tells whether a listed count is a block by the limit of its kind', () => {
  const count = (key: string, failures: number) => ({ key, failures, expires: 0 })
  expect(isBlock(count('address 10.0.0.1', 4), settings)).toBe(false)
  expect(isBlock(count('address 10.0.0.1', 5), settings)).toBe(true)
  expect(isBlock(count('account psc from 10.0.0.1', 2), settings)).toBe(false)
  expect(isBlock(count('account psc from 10.0.0.1', 3), settings)).toBe(true)
  expect(isBlock(count('account psc from everywhere', 29), settings)).toBe(false)
  expect(isBlock(count('account psc from everywhere', 30), settings)).toBe(true)
})

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2:ffff::1', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['::1', '::/64'],
  ['203.0.113.9:5001', '203.0.113.9'],
  ['[2001:db8::1]:443', '2001:db8::/64'],
  ['[2001:db8::1]', '2001:db8::/64'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
  ['x[2001:db8::1]:443', 'unreadable'],
  ['[2001:db8::1]:443x', 'unreadable'],
  ['not an address', 'unreadable'],
  ['everywhere', 'unreadable'],
  ['', 'unreadable'],
  // After the caller has closed the connection.
  [undefined, 'unreadable'],
])('counts the address %s as %s', (address, network) => {
  expect(clientNetwork(address)).toBe(network)
})
