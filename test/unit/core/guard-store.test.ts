import { setImmediate as endOfTurn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { createGuard } from '../../../src/core/guard.ts'
import { createGuardMemory, MAX_COUNTS } from '../../../src/core/guard-memory.ts'
import type { FailedAttemptStore, FailureCount } from '../../../src/core/ports/failed-attempt-store.ts'
import { createFrozenClock } from '../../support/time.ts'

// What the guard does while the store has not answered, and with answers that other processes have changed.

const SECRET = { address: '10.0.0.1' }
const PASSWORD = { address: '10.0.0.1', account: 'psc' }
const ADDRESS_KEY = 'address 10.0.0.1'
const PASSWORDS_KEY = 'passwords from 10.0.0.1'
const ACCOUNT_KEY = 'account psc from 10.0.0.1'

/** A guard with a store whose answers to `add` the test gives. */
function start({ addressFailures = 5, accountFailures = 3 } = {}) {
  const clock = createFrozenClock()
  const adding: { readonly key: string; answer(failures: number): Promise<void>; fail(): Promise<void> }[] = []
  const store = {
    add(key: string, lifetimeMs: number, now: number) {
      const added = Promise.withResolvers<FailureCount>()
      adding.push({
        key,
        async answer(failures) {
          added.resolve({ key, failures, expires: now + lifetimeMs })
          await endOfTurn()
        },
        async fail() {
          added.reject(new Error('store failed'))
          await endOfTurn()
        },
      })
      return added.promise
    },
    block: vi.fn<FailedAttemptStore['block']>(async () => undefined),
    remove: vi.fn<FailedAttemptStore['remove']>(async () => 0),
    subtract: vi.fn<FailedAttemptStore['subtract']>(async () => undefined),
    list: vi.fn<FailedAttemptStore['list']>(async () => []),
    sweep: async () => undefined,
    close: async () => undefined,
  }
  const memory = createGuardMemory()
  const onBlock = vi.fn<(key: string) => void>()
  const settings = { accountFailures, addressFailures, window: 60, block: 300 }
  const guard = createGuard({ settings, memory, store, clock, onBlock, onStoreError: () => undefined })
  /** Makes a failure; the test answers the steps of the store. */
  const fail = (attempt: { address: string; account?: string } = SECRET) => guard.fail(attempt)
  return { guard, memory, store, adding, onBlock, clock, fail }
}

/** Lets an attempt be evaluated; tells whether it was. */
function evaluate({ guard }: ReturnType<typeof start>, attempt = SECRET) {
  const evaluated = vi.fn(async () => undefined)
  void guard.inTurn(attempt, evaluated)
  return () => evaluated.mock.calls.length === 1
}

test('blocks for the whole time as soon as the limit is reached, before the store answers', () => {
  const { guard, fail } = start()
  for (let at = 0; at < 4; at++) void fail()
  expect(guard.blockedFor(SECRET)).toBe(0)
  void fail()
  expect(guard.blockedFor(SECRET)).toBe(300_000)
})

test('keeps a block that the store has not answered during a flood of other failures', () => {
  const { guard, fail } = start()
  for (let at = 0; at < 5; at++) void fail()
  for (let at = 0; at <= MAX_COUNTS; at++) void fail({ address: `address ${at}` })
  expect(guard.blockedFor(SECRET)).toBe(300_000)
})

test('lets a twentieth of the limit wait for the store', async () => {
  const started = start({ addressFailures: 40 })
  const { adding, fail } = started
  void fail()
  expect(evaluate(started)()).toBe(true)
  void fail()
  const isEvaluated = evaluate(started)
  await endOfTurn()
  expect(isEvaluated()).toBe(false)
  await adding[0]?.answer(1)
  expect(isEvaluated()).toBe(true)
})

test('goes on waiting for a failure where another one of the same count was answered', async () => {
  const started = start()
  const { adding, fail } = started
  void fail()
  void fail()
  await adding[0]?.answer(1)
  const isEvaluated = evaluate(started)
  await endOfTurn()
  expect(isEvaluated()).toBe(false)
  await adding[1]?.answer(2)
  expect(isEvaluated()).toBe(true)
})

test('waits for nothing once reading the list has failed, and again once it has succeeded', async () => {
  const started = start()
  const { guard, store, fail } = started
  void fail()
  store.list.mockRejectedValueOnce(new Error('store failed'))
  await guard.refresh()
  expect(evaluate(started)()).toBe(true)
  await guard.refresh()
  const isEvaluated = evaluate(started)
  await endOfTurn()
  expect(isEvaluated()).toBe(false)
})

test('keeps failures that it has counted while the store answers for earlier ones', async () => {
  const { guard, memory, adding, fail } = start()
  for (let at = 0; at < 5; at++) void fail()
  await adding[0]?.answer(1)
  expect(memory.get(ADDRESS_KEY)?.failures).toBe(5)
  expect(guard.blockedFor(SECRET)).toBe(60_000)
})

test.each([
  ['keeps', 1, 2],
  ['drops', 2, undefined],
])('%s unsaved failures in a refresh where the store then counts %s of two', async (_, stored, expected) => {
  const { guard, memory, adding, fail } = start()
  void fail()
  await adding[0]?.fail()
  void fail()
  await adding[1]?.answer(stored)
  expect(memory.get(ADDRESS_KEY)?.failures).toBe(2)
  await guard.refresh()
  expect(memory.get(ADDRESS_KEY)?.failures).toBe(expected)
})

test('reports one block while the store is away, at the failure that reaches the limit', async () => {
  const { adding, onBlock, fail } = start({ addressFailures: 3 })
  for (const expected of [0, 0, 1]) {
    void fail()
    await adding.at(-1)?.fail()
    expect(onBlock).toHaveBeenCalledTimes(expected)
  }
  expect(onBlock).toHaveBeenCalledWith(ADDRESS_KEY)
})

test('remembers nothing where a count was removed before the store has failed', async () => {
  const { memory, adding, fail } = start()
  void fail()
  memory.delete(ADDRESS_KEY)
  await adding[0]?.fail()
  expect(memory.isEmpty).toBe(true)
})

test('says of a failure during a block that it was blocked, without asking the store', async () => {
  const { adding, fail } = start({ addressFailures: 1 })
  void fail()
  await adding[0]?.answer(1)
  expect(await fail()).toBe(true)
  expect(adding).toHaveLength(1)
})

/** Makes failures of an account that the store has answered. */
async function failPasswords({ adding, fail }: ReturnType<typeof start>, count: number): Promise<void> {
  for (let failures = 1; failures <= count; failures++) {
    const failed = fail(PASSWORD)
    for (const step of adding.splice(0)) await step.answer(failures)
    await failed
  }
}

test('takes the failures of an account out of the count of its address at once, and then in the store', async () => {
  const started = start()
  const { guard, memory, store } = started
  await failPasswords(started, 2)
  memory.set({ key: PASSWORDS_KEY, failures: 3, expires: started.clock() + 1_000 }, false)
  store.remove.mockResolvedValueOnce(2)
  guard.succeed(PASSWORD)
  expect(memory.get(ACCOUNT_KEY)).toBeUndefined()
  expect(memory.get(PASSWORDS_KEY)).toEqual({ key: PASSWORDS_KEY, failures: 1, expires: started.clock() + 1_000 })
  await endOfTurn()
  expect(store.remove).toHaveBeenCalledExactlyOnceWith(ACCOUNT_KEY, 3)
  expect(store.subtract).toHaveBeenCalledExactlyOnceWith(PASSWORDS_KEY, 2, 5)
})

test('never counts less than nothing for an address', async () => {
  const started = start()
  const { guard, memory } = started
  await failPasswords(started, 2)
  memory.set({ key: PASSWORDS_KEY, failures: 1, expires: started.clock() + 1_000 }, false)
  guard.succeed(PASSWORD)
  expect(memory.get(PASSWORDS_KEY)?.failures).toBe(0)
})

test.each([
  ['at', 5],
  ['beyond', 6],
])('ends no block of an address by the success of an account: %s the limit', async (_, failures) => {
  const started = start()
  const { guard, memory, clock } = started
  await failPasswords(started, 2)
  memory.set({ key: PASSWORDS_KEY, failures, expires: clock() + 1_000 }, true)
  guard.succeed(PASSWORD)
  expect(guard.blockedFor(PASSWORD)).toBe(1_000)
})

test('remembers nothing for an address without failures', async () => {
  const started = start()
  const { guard, memory } = started
  await failPasswords(started, 1)
  memory.delete(PASSWORDS_KEY)
  memory.delete('account psc from everywhere')
  guard.succeed(PASSWORD)
  expect(memory.isEmpty).toBe(true)
})

test('takes nothing from the store where another process has removed the failures', async () => {
  const started = start()
  await failPasswords(started, 1)
  started.guard.succeed(PASSWORD)
  await endOfTurn()
  expect(started.store.remove).toHaveBeenCalledOnce()
  expect(started.store.subtract).not.toHaveBeenCalled()
})

test('reads new failures of an account once the store has forgotten the old ones', async () => {
  const started = start()
  const { guard, memory, store, clock } = started
  await failPasswords(started, 1)
  guard.succeed(PASSWORD)
  await endOfTurn()
  store.list.mockResolvedValue([{ key: ACCOUNT_KEY, failures: 2, expires: clock() + 1_000 }])
  await guard.refresh()
  expect(memory.get(ACCOUNT_KEY)?.failures).toBe(2)
})

test('ignores failures in a list that was read before the store has forgotten them', async () => {
  const started = start()
  const { guard, memory, store, clock } = started
  await failPasswords(started, 1)
  const removing = Promise.withResolvers<number>()
  store.remove.mockReturnValueOnce(removing.promise)
  guard.succeed(PASSWORD)
  store.list.mockResolvedValue([{ key: ACCOUNT_KEY, failures: 1, expires: clock() + 1_000 }])
  await guard.refresh()
  expect(memory.get(ACCOUNT_KEY)).toBeUndefined()
  removing.resolve(1)
})

test('reads no second list while one is being read', async () => {
  const { guard, store } = start()
  const reading = Promise.withResolvers<FailureCount[]>()
  store.list.mockReturnValueOnce(reading.promise)
  const first = guard.refresh()
  await guard.refresh()
  expect(store.list).toHaveBeenCalledOnce()
  reading.resolve([])
  await first
  await guard.refresh()
  expect(store.list).toHaveBeenCalledTimes(2)
})
