import { expect, test } from 'vitest'
import { createIdleTimeout } from '../../../../src/core/idscan/idle.ts'
import type { UsageStore, Use } from '../../../../src/core/ports/usage-store.ts'
import { createFrozenClock, FROZEN_TIME } from '../../../support/time.ts'

const MINUTE = 60_000
const ISSUED = Math.floor(FROZEN_TIME / 1000)
const claims = { jti: 'id', sub: 'psc', iss: 'i', aud: 'a', iat: ISSUED, nbf: ISSUED, exp: ISSUED + 36_000 }

/** What has been written, in memory, and how often was asked. */
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

test('a token is not idle until the time-out is over, and the store is not asked before', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, asked } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  clock.advance(15 * MINUTE - 1)
  expect(idle.isIdle(claims)).toBe(false)
  expect(asked()).toBe(0)
  clock.advance(1)
  expect(await idle.isIdle(claims)).toBe(true)
  expect(asked()).toBe(1)
})

test('each use moves the end, exactly', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const idle = createIdleTimeout(900, createStore().store, clock)
  for (let use = 0; use < 5; use++) {
    clock.advance(14 * MINUTE)
    expect(idle.isIdle(claims)).toBe(false)
    idle.use(claims)
  }
  clock.advance(15 * MINUTE - 1)
  expect(idle.isIdle(claims)).toBe(false)
})

test('uses are written once in a tenth of the time-out, the last one too', async () => {
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

test('another process sees a use that was written, and not longer than it was', async () => {
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

test('all are written when the process ends, whatever is due', async () => {
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

test('what could not be written is written later', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  let away = true
  const touch: UsageStore['touch'] = async (uses, now) => {
    if (away) throw new Error('the store is away')
    await store.touch(uses, now)
  }
  const idle = createIdleTimeout(900, { ...store, touch }, clock)
  clock.advance(2 * MINUTE)
  idle.use(claims)
  await expect(idle.flush('due')).rejects.toThrow('away')
  away = false
  await idle.flush('due')
  expect(written).toHaveLength(1)
})

test('a use while the store is writing is not taken for written', async () => {
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

test('what the store knows is not kept here as well, but asked for', async () => {
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

test('many uses are written a thousand at a time, each once', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  clock.advance(1_000)
  for (let at = 0; at < 2_500; at++) idle.use({ ...claims, jti: `${at}` })
  await idle.flush('all')
  expect(written.map(({ length }) => length)).toEqual([1_000, 1_000, 500])
  expect(new Set(written.flat().map(({ tokenId }) => tokenId)).size).toBe(2_500)
})

test('a use at the moment of issue need not be written: without any use, that is what counts', async () => {
  const clock = createFrozenClock(ISSUED * 1000)
  const { store, written } = createStore()
  const idle = createIdleTimeout(900, store, clock)
  idle.use(claims)
  await idle.flush('all')
  expect(written).toEqual([])
})
