import { expect, test } from 'vitest'
import { createIdleTimeout } from '../../../../src/core/idscan/idle.ts'
import type { UsageStore, Use } from '../../../../src/core/ports/usage-store.ts'
import { createFrozenClock, FROZEN_TIME } from '../../../support/time.ts'

const MINUTE = 60_000
const ISSUED = Math.floor(FROZEN_TIME / 1000)
const claims = { jti: 'id', sub: 'psc', iss: 'i', aud: 'a', iat: ISSUED, nbf: ISSUED, exp: ISSUED + 36_000 }

/** Creates a store in memory that lists writes and counts reads. */
function createStore() {
  const written: Use[][] = []
  const lastUses = new Map<string, number>()
  let asked = 0
  const store: UsageStore = {
    count: async () => undefined,
    counted: async () => 0,
    async touch(uses) {
      written.push(uses.map(({ tokenId, usedAt, expires }) => ({ tokenId, usedAt, expires })))
      for (const { tokenId, usedAt } of uses) lastUses.set(tokenId, Math.max(usedAt, lastUses.get(tokenId) ?? 0))
    },
    async lastUse(tokenId) {
      asked += 1
      return lastUses.get(tokenId)
    },
    sweep: async () => undefined,
    close: async () => undefined,
  }
  return { store, written, asked: () => asked }
}

test('reports a token as idle when the time-out ends, and asks the store only then', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, asked } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  clock.advance(15 * MINUTE - 1)
  expect(await idle.isIdle(claims)).toBe(false)
  expect(asked()).toBe(0)
  clock.advance(1)
  expect(await idle.isIdle(claims)).toBe(true)
  expect(asked()).toBe(1)
})

test('extends the time-out by exactly its length with each use', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const idle = createIdleTimeout(900, createStore().store, clock)
  for (let use = 0; use < 5; use++) {
    clock.advance(14 * MINUTE)
    expect(await idle.isIdle(claims)).toBe(false)
    idle.use(claims)
  }
  clock.advance(15 * MINUTE - 1)
  expect(await idle.isIdle(claims)).toBe(false)
})

test('writes uses once in a tenth of the time-out, including the last one', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  for (let second = 0; second < 300; second++) {
    clock.advance(1_000)
    if (second < 200) idle.use(claims)
    await idle.flush('due')
  }
  const times = written.flat().map(({ usedAt }) => (usedAt - ISSUED * 1000) / 1000)
  expect(times).toEqual([90, 180, 200])
})

test('counts uses that another process has written, until the time-out ends', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store } = createStore()
  const [one, two] = [createIdleTimeout(900, store, clock), createIdleTimeout(900, store, clock)]
  clock.advance(10 * MINUTE)
  one.use(claims)
  await one.flush('due')
  clock.advance(10 * MINUTE)
  expect(await two.isIdle(claims)).toBe(false)
  clock.advance(5 * MINUTE)
  expect(await two.isIdle(claims)).toBe(true)
})

test('writes all uses on flush("all"), due or not', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  clock.advance(1_000)
  idle.use(claims)
  await idle.flush('due')
  expect(written).toEqual([])
  await idle.flush('all')
  expect(written).toEqual([[{ tokenId: 'id', usedAt: clock(), expires: claims.exp * 1000 }]])
  await idle.flush('all')
  await idle.flush('all')
  expect(written).toHaveLength(1)
})

test('writes uses later that a failing store did not take', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  let isFailing = true
  const touch: UsageStore['touch'] = async (uses, now) => {
    if (isFailing) throw new Error('store failed')
    await store.touch(uses, now)
  }
  const idle = createIdleTimeout(900, { ...store, touch }, clock)
  clock.advance(2 * MINUTE)
  idle.use(claims)
  await expect(idle.flush('due')).rejects.toThrow('store failed')
  isFailing = false
  await idle.flush('due')
  expect(written).toHaveLength(1)
})

test('writes a use later that is noted during a write', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  clock.advance(2 * MINUTE)
  idle.use(claims)
  const flushing = idle.flush('due')
  clock.advance(1_000)
  idle.use(claims)
  await flushing
  clock.advance(2 * MINUTE)
  await idle.flush('due')
  expect(written.flat().map(({ usedAt }) => usedAt - ISSUED * 1000)).toEqual([120_000, 121_000])
})

test('drops written uses from memory and asks the store for them', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, asked } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  clock.advance(20 * MINUTE)
  idle.use(claims)
  await idle.flush('all')
  expect(await idle.isIdle(claims)).toBe(false)
  expect(asked()).toBe(0)
  await idle.flush('all')
  expect(await idle.isIdle(claims)).toBe(false)
  expect(asked()).toBe(1)
})

test('writes many uses a thousand at a time, each once', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  clock.advance(1_000)
  for (let at = 0; at < 2_500; at++) idle.use({ ...claims, jti: `${at}` })
  await idle.flush('all')
  expect(written.map(({ length }) => length)).toEqual([1_000, 1_000, 500])
  expect(new Set(written.flat().map(({ tokenId }) => tokenId)).size).toBe(2_500)
})

test('does not write a use at the time of issue, which counts as a use anyway', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  idle.use(claims)
  await idle.flush('all')
  expect(written).toEqual([])
})
