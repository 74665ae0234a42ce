import { afterEach, describe, expect, test } from 'vitest'
import { createGuard, type Guard, noGuard } from '../../../src/core/guard.ts'
import { createGuardMemory, type GuardMemory } from '../../../src/core/guard-memory.ts'
import { type Attempt, isBlock } from '../../../src/core/guard-scopes.ts'
import type { FailedAttemptStore, FailureCount } from '../../../src/core/ports/failed-attempt-store.ts'
import { openStore } from '../../support/stores.ts'
import { createFrozenClock } from '../../support/time.ts'

const settings = { accountFailures: 3, addressFailures: 5, window: 60, block: 300 }
const clock = createFrozenClock()
let store = await openStore('failures', 'sqlite::memory:')
let blocks: string[] = []
let errors: unknown[] = []

const create = (from: FailedAttemptStore = store, memory: GuardMemory = createGuardMemory()): Guard =>
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

const failing = async (): Promise<never> => {
  throw new Error('store failed')
}

/** A store that is unavailable. */
const AWAY: FailedAttemptStore = {
  add: failing,
  block: failing,
  remove: failing,
  subtract: failing,
  list: failing,
  sweep: failing,
  close: async () => undefined,
}

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
  const guard = create(AWAY)
  await fail(guard, psc, 2)
  guard.succeed(psc)
  await fail(guard, psc, 3)
  // Each failure is three steps: the account at the address, the account everywhere, the address. The success is one.
  expect(errors).toHaveLength(3 * 5 + 1)
  await guard.refresh()
  expect(errors).toHaveLength(3 * 5 + 2)
  expect(guard.blockedFor(psc)).toBe(300_000)
})

test('drops failures below the limit after the window while the store fails', async () => {
  const guard = create({ ...store, add: failing })
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
  const memory = createGuardMemory()
  const guard = create(store, memory)
  const countOf = (at: number) => memory.get(`address 10.1.${at >> 8}.${at & 255}`)
  for (let at = 0; at < 2_001; at++) {
    await guard.fail({ address: `10.1.${at >> 8}.${at & 255}` })
    // A second failure makes the first count the newest.
    if (at === 1_999) {
      expect(countOf(0)?.failures).toBe(1)
      await guard.fail({ address: '10.1.0.0' })
    }
  }
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

test('keeps the latest ten thousand blocks in memory, whatever other counts there are', () => {
  const memory = createGuardMemory()
  const key = (at: number) => `address ${at}`
  for (let at = 0; at <= 10_000; at++) memory.set({ key: key(at), failures: 5, expires: 0 }, true)
  for (let at = 0; at < 3_000; at++) memory.set({ key: `invented ${at}`, failures: 4, expires: 0 }, false)
  expect([0, 1, 10_000].map((at) => memory.get(key(at))?.failures)).toEqual([undefined, 5, 5])
})

describe('wrong passwords from one address', () => {
  const from = (account: string) => ({ address: '10.0.0.1', account })

  test('block it for every account after addressFailures, but not for machine secrets', async () => {
    const guard = create()
    for (const account of ['a', 'b', 'c', 'd', 'e']) await guard.fail(from(account))
    expect(guard.blockedFor(from('f'))).toBe(300_000)
    expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(0)
    expect(guard.blockedFor({ address: '10.0.0.2', account: 'f' })).toBe(0)
    expect(blocks).toEqual(['passwords from 10.0.0.1'])
  })

  test('stop counting once the account logs in from there, in any process', async () => {
    const [one, two] = [create(), create()]
    for (const account of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
      await fail(one, from(account), 2)
      await two.refresh()
      two.succeed(from(account))
      // The guard does not wait for its two writes; later ones complete after them.
      await store.remove('none', 1)
      await store.remove('none', 1)
      await one.refresh()
    }
    expect(one.blockedFor(from('i'))).toBe(0)
    const listed = await store.list(clock(), { blocks: 0, counts: 100 })
    expect(listed.map(({ key }) => key)).not.toContain('passwords from 10.0.0.1')
  })

  test('still count when another account logs in', async () => {
    const guard = create()
    for (const account of ['a', 'b', 'c', 'd']) await guard.fail(from(account))
    guard.succeed(from('z'))
    guard.succeed(from('a'))
    await fail(guard, from('e'), 2)
    expect(guard.blockedFor(from('z'))).toBe(300_000)
  })
})

describe('attempts while failures are on their way to the store', () => {
  const attempt = { address: '10.0.0.1' }

  /** Starts attempts that fail; returns how many were evaluated so far, and the results. */
  function startFailing(guard: Guard, count: number) {
    let evaluated = 0
    const evaluate = () => {
      evaluated += 1
      return guard.fail(attempt)
    }
    const results = Promise.all(Array.from({ length: count }, () => guard.inTurn(attempt, evaluate)))
    return { evaluated: () => evaluated, results }
  }

  test('wait for one failure, but not for those of other addresses', async () => {
    const steps: (() => void)[] = []
    const guard = create({
      ...store,
      add: async (...given) => {
        await new Promise<void>((resolve) => steps.push(resolve))
        return store.add(...given)
      },
    })
    const { evaluated, results } = startFailing(guard, 3)
    expect(await guard.inTurn({ address: '10.0.0.2' }, async () => 'evaluated')).toBe('evaluated')
    for (const turn of [1, 2, 3]) {
      await expect.poll(evaluated).toBe(turn)
      steps.shift()?.()
    }
    expect(await results).toEqual([false, false, false])
  })

  test('do not wait for a store that is away', async () => {
    const guard = create(AWAY)
    await guard.fail(attempt)
    expect(startFailing(guard, 3).evaluated()).toBe(3)
  })

  test('are blocked where another process has reached the limit', async () => {
    const [one, two] = [create(), create()]
    await fail(one, attempt, 5)
    expect(await two.fail(attempt)).toBe(true)
    expect(two.blockedFor(attempt)).toBe(300_000)
  })

  test('report one block where two processes reach the limit together', async () => {
    const [one, two] = [create(), create()]
    await fail(one, attempt, 3)
    await fail(two, attempt, 2)
    expect(blocks).toEqual(['address 10.0.0.1'])
  })
})

test('keeps a block that the store could not record after the store is back, until it ends', async () => {
  let isAway = true
  const guard = create({ ...store, add: (...given) => (isAway ? failing() : store.add(...given)) })
  await fail(guard, { address: '10.0.0.1' }, 5)
  isAway = false
  await guard.refresh()
  expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(300_000)
  clock.advance(300_000)
  await guard.refresh()
  await fail(guard, { address: '10.0.0.1' }, 4)
  await guard.refresh()
  expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(0)
})

test('takes the greater count of the store after it was away', async () => {
  let isAway = true
  const guard = create({ ...store, add: (...given) => (isAway ? failing() : store.add(...given)) })
  await fail(guard, { address: '10.0.0.1' }, 1)
  isAway = false
  await fail(create(), { address: '10.0.0.1' }, 4)
  await guard.refresh()
  await fail(guard, { address: '10.0.0.1' }, 1)
  expect(guard.blockedFor({ address: '10.0.0.1' })).toBe(300_000)
})

test('does not bring back a count that was removed while the store failed', async () => {
  const memory = createGuardMemory()
  const adding = Promise.withResolvers<never>()
  const guard = create({ ...store, add: () => adding.promise }, memory)
  const failed = guard.fail({ address: '10.0.0.1' })
  memory.delete('address 10.0.0.1')
  adding.reject(new Error('store failed'))
  await failed
  expect(memory.get('address 10.0.0.1')).toBeUndefined()
})

describe('a success during a refresh', () => {
  const removals = [
    [
      'while the list is read',
      async (guard: Guard, list: () => Promise<void>) => {
        const refreshed = guard.refresh()
        guard.succeed(psc)
        await list()
        await refreshed
      },
    ],
    [
      'before it, where the store has yet to forget the failures',
      async (guard: Guard, list: () => Promise<void>) => {
        guard.succeed(psc)
        const refreshed = guard.refresh()
        await list()
        await refreshed
      },
    ],
  ] as const

  /** Creates a guard whose store lists counts as they were before the success, and forgets them later. */
  async function createSlow() {
    const listing = Promise.withResolvers<void>()
    const removing = Promise.withResolvers<void>()
    const removed = Promise.withResolvers<void>()
    let stale: Awaited<ReturnType<FailedAttemptStore['list']>> = []
    const guard = create({
      ...store,
      list: () => listing.promise.then(() => stale),
      remove: async (...words) => {
        await removing.promise
        const failures = await store.remove(...words)
        removed.resolve()
        return failures
      },
    })
    await fail(guard, psc, 2)
    stale = await store.list(clock(), { blocks: 10, counts: 10 })
    /** @param changes to what the account's count was. */
    async function list(changes: Partial<FailureCount> = {}): Promise<void> {
      stale = stale.map((count) =>
        count.key.includes('psc') && count.key.includes('10.0.0.1') ? { ...count, ...changes } : count,
      )
      listing.resolve()
    }
    async function remove(): Promise<void> {
      removing.resolve()
      await removed.promise
    }
    return { guard, list, remove }
  }

  test.each(removals)('I24: leaves the failures of the account forgotten: a success %s', async (_, succeed) => {
    const { guard, list, remove } = await createSlow()
    await succeed(guard, list)
    await remove()
    await fail(guard, psc, 1)
    expect(guard.blockedFor(psc)).toBe(0)
  })

  test('I24: keeps a block by another process, also after a further failure', async () => {
    const { guard, list, remove } = await createSlow()
    const refreshed = guard.refresh()
    guard.succeed(psc)
    await remove()
    await fail(guard, psc, 1)
    await list({ failures: 3, expires: clock() + 300_000 })
    await refreshed
    expect(guard.blockedFor(psc)).toBe(300_000)
  })

  test('I24: keeps the failures of the account since', async () => {
    const { guard, list, remove } = await createSlow()
    const refreshed = guard.refresh()
    guard.succeed(psc)
    await remove()
    await fail(guard, psc, 3)
    await list()
    await refreshed
    expect(guard.blockedFor(psc)).toBe(300_000)
  })
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
  expect(isBlock(count('passwords from 10.0.0.1', 4), settings)).toBe(false)
  expect(isBlock(count('passwords from 10.0.0.1', 5), settings)).toBe(true)
  expect(isBlock(count('account psc from 10.0.0.1', 2), settings)).toBe(false)
  expect(isBlock(count('account psc from 10.0.0.1', 3), settings)).toBe(true)
  expect(isBlock(count('account psc from everywhere', 29), settings)).toBe(false)
  expect(isBlock(count('account psc from everywhere', 30), settings)).toBe(true)
})
