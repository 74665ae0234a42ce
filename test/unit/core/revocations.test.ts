import { expect, test } from 'vitest'
import type { Clock } from '../../../src/core/clock.ts'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import type { Revocation, RevocationStore } from '../../../src/core/ports/revocation-store.ts'
import { createRevocations, MAX_STALENESS_MS } from '../../../src/core/revocations.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

/** Creates a store with pages of one revocation that lists the cursors it was read with. */
function createStore() {
  const added: Revocation[] = []
  const asked: (string | undefined)[] = []
  let isFailing = false
  const store: RevocationStore = {
    add: async (revocation) => void added.push(revocation),
    async since(cursor) {
      asked.push(cursor)
      if (isFailing) throw new Error('store failed')
      const at = Number(cursor ?? 0)
      const page = added.slice(at, at + 1)
      return { revocations: page, cursor: String(at + page.length), complete: page.length === 0 }
    },
    sweep: async () => undefined,
    close: async () => undefined,
  }
  return {
    store,
    added,
    asked,
    set isFailing(value: boolean) {
      isFailing = value
    },
  }
}

/** Creates a cache whose uptime follows the clock unless given. */
const create = (store: RevocationStore, clock: Clock, uptime = clock) => createRevocations({ store, clock, uptime })

const token = (tokenId: string, issuedAt = FROZEN_TIME) => ({ tokenId, holder: 'app a' as const, issuedAt })

test('reads the store when the cache is older than one second', async () => {
  const clock = createFrozenClock()
  const { store, asked } = createStore()
  const revocations = create(store, clock)
  await revocations.refreshIfStale()
  expect(asked).toHaveLength(1)
  clock.advance(MAX_STALENESS_MS - 1)
  await revocations.refreshIfStale()
  expect(asked).toHaveLength(1)
  clock.advance(1)
  await revocations.refreshIfStale()
  expect(asked).toHaveLength(2)
})

test.each([
  ['a clock that is set back', -29_500, 1_000],
  ['a machine that was asleep', 30_000, 0],
])('reads the store after %s', async (_what, byClock, byUptime) => {
  const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
  const { store, asked } = createStore()
  const revocations = create(store, clock, uptime)
  await revocations.refreshIfStale()
  clock.advance(byClock)
  uptime.advance(byUptime)
  await revocations.refreshIfStale()
  expect(asked).toHaveLength(2)
})

test('reads the store once for concurrent callers', async () => {
  const { store, asked } = createStore()
  const revocations = create(store, createFrozenClock())
  await Promise.all([revocations.refreshIfStale(), revocations.refreshIfStale(), revocations.refresh()])
  expect(asked).toHaveLength(1)
})

test('rejects while the store fails, and reads it again for the next caller', async () => {
  const parts = createStore()
  const revocations = create(parts.store, createFrozenClock())
  parts.isFailing = true
  await expect(revocations.refreshIfStale()).rejects.toThrow('store failed')
  parts.isFailing = false
  await revocations.refreshIfStale()
  expect(parts.asked).toHaveLength(2)
})

test('rejects where reading the store takes longer than what it read may be old', async () => {
  const clock = createFrozenClock()
  const { store, asked } = createStore()
  const slow: RevocationStore = {
    ...store,
    async since(cursor) {
      clock.advance(MAX_STALENESS_MS)
      return store.since(cursor)
    },
  }
  await expect(create(slow, clock).refreshIfStale()).rejects.toThrow(
    `reading revocations takes longer than ${MAX_STALENESS_MS} ms`,
  )
  expect(asked).toHaveLength(2)
})

test('knows revocations of other processes after reading all pages', async () => {
  const { store, added } = createStore()
  const revocations = create(store, createFrozenClock())
  for (const id of ['1', '2', '3']) {
    added.push({ subject: `token ${id}`, issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + 1_000 })
  }
  await revocations.refresh()
  expect(['1', '2', '3', '4'].map((id) => revocations.revokedAt(token(id)))).toEqual([
    FROZEN_TIME,
    FROZEN_TIME,
    FROZEN_TIME,
    undefined,
  ])
})

test('revokes a token at once, and returns false for a revoked one', async () => {
  const { store, added } = createStore()
  const revocations = create(store, createFrozenClock())
  expect(await revocations.revokeToken('1', FROZEN_TIME + 1)).toBe(true)
  expect(revocations.revokedAt(token('1'))).toBe(FROZEN_TIME)
  expect(await revocations.revokeToken('1', FROZEN_TIME + 1)).toBe(false)
  // A known revocation is added again: the store may have lost it.
  const revocation = { subject: 'token 1', issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + 1 }
  expect(added).toEqual([revocation, revocation])
})

test('records the revocation of a token that expired within an hour, since this clock may be ahead', async () => {
  const { store, added } = createStore()
  const revocations = create(store, createFrozenClock())
  expect(await revocations.revokeToken('1', FROZEN_TIME)).toBe(false)
  expect(await revocations.revokeToken('2', FROZEN_TIME - RETENTION_MS + 1)).toBe(false)
  expect(await revocations.revokeToken('3', FROZEN_TIME - RETENTION_MS)).toBe(false)
  expect(added.map(({ subject }) => subject)).toEqual(['token 1', 'token 2'])
})

test("revokes everything issued to a holder up to that time, and no later or other holder's tokens", async () => {
  const clock = createFrozenClock()
  const revocations = create(createStore().store, clock)
  await revocations.revokeIssued('app a')
  expect(revocations.revokedAt(token('1', FROZEN_TIME))).toBe(FROZEN_TIME)
  expect(revocations.revokedAt(token('2', FROZEN_TIME + 1))).toBeUndefined()
  expect(revocations.revokedAt({ ...token('3', FROZEN_TIME), holder: 'app b' })).toBeUndefined()
  expect(revocations.revokedAt({ ...token('4', FROZEN_TIME), holder: undefined })).toBeUndefined()
  clock.advance(10)
  await revocations.revokeIssued('app a')
  expect(revocations.revokedAt(token('2', FROZEN_TIME + 1))).toBe(FROZEN_TIME + 10)
})

test('covers a token by a later revocation than the one that was known when it was issued', async () => {
  const clock = createFrozenClock()
  const { store, added } = createStore()
  const revocations = create(store, clock)
  expect(revocations.latestOf('user jeff')).toBe(0)
  await revocations.revokeIssued('user jeff')
  const latest = revocations.latestOf('user jeff')
  expect(latest).toBe(FROZEN_TIME)
  const of = (knownRevocation: number | undefined, issuedAt = FROZEN_TIME) =>
    revocations.revokedAt({ tokenId: '1', holder: 'user jeff', issuedAt, knownRevocation })
  expect(of(0, FROZEN_TIME + 120_000)).toBe(latest)
  expect(of(latest - 1)).toBe(latest)
  expect(of(latest, FROZEN_TIME - 120_000)).toBeUndefined()
  // A record of an earlier version has only the time.
  expect(of(undefined)).toBe(latest)
  expect(of(undefined, FROZEN_TIME + 1)).toBeUndefined()
  // Another process has already deleted the revocation, and knew of none.
  expect(of(0, (added[0]?.expires ?? 0) - 1)).toBe(latest)
  expect(of(0, added[0]?.expires)).toBeUndefined()
})

test('makes each revocation of a holder later than the one before, also one by another process', async () => {
  const { store, added } = createStore()
  await create(store, createFrozenClock(FROZEN_TIME + 5_000)).revokeIssued('user jeff')
  await create(store, createFrozenClock()).revokeIssued('user jeff')
  await create(store, createFrozenClock(FROZEN_TIME + 9_000)).revokeIssued('user jeff')
  expect(added.map(({ issuedUntil }) => issuedUntil - FROZEN_TIME)).toEqual([5_000, 5_001, 9_000])
})

test('keeps the later of two revocations, in any order', async () => {
  const { store, added } = createStore()
  const revocations = create(store, createFrozenClock())
  added.push({ subject: 'app a', issuedUntil: FROZEN_TIME + 9, expires: FROZEN_TIME + 9_000 })
  added.push({ subject: 'app a', issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + 10_000 })
  await revocations.refresh()
  expect(revocations.revokedAt(token('1', FROZEN_TIME + 9))).toBe(FROZEN_TIME + 9)
})

test('reports revoked users until their last revocation expires', async () => {
  const clock = createFrozenClock()
  const revocations = create(createStore().store, clock)
  await revocations.revokeIssued('account jeff')
  expect(revocations.concernUsers()).toBe(false)
  await revocations.revokeIssued('user jeff')
  await revocations.revokeIssued('user jeff')
  expect(revocations.concernUsers()).toBe(true)
  clock.advance(2 * 86_400_000 + RETENTION_MS)
  await revocations.sweep(clock())
  expect(revocations.concernUsers()).toBe(false)
})

test('reports revoked users until the last of several is swept', async () => {
  const clock = createFrozenClock()
  const { store, added } = createStore()
  const revocations = create(store, clock)
  await revocations.revokeToken('1', FROZEN_TIME + 1)
  await revocations.revokeIssued('user jeff')
  clock.advance(1_000)
  await revocations.revokeIssued('user anna')
  expect(added.map(({ subject, expires }) => [subject, expires - FROZEN_TIME])).toEqual([
    ['token 1', 1],
    ['user jeff', 2 * 86_400_000],
    ['user anna', 2 * 86_400_000 + 1_000],
  ])
  clock.advance(100_000)
  await revocations.sweep(clock())
  expect(revocations.concernUsers()).toBe(true)
  clock.set(FROZEN_TIME + 2 * 86_400_000 + RETENTION_MS)
  await revocations.sweep(clock())
  expect(revocations.concernUsers()).toBe(true)
  clock.advance(1_000)
  await revocations.sweep(clock())
  expect(revocations.concernUsers()).toBe(false)
})

test('sweeps only revocations that expired an hour ago', async () => {
  const clock = createFrozenClock()
  const revocations = create(createStore().store, clock)
  await revocations.revokeToken('1', FROZEN_TIME + 1_000)
  await revocations.revokeToken('2', FROZEN_TIME + 1_001)
  clock.advance(RETENTION_MS + 1_000)
  await revocations.sweep(clock())
  expect(revocations.revokedAt(token('1'))).toBeUndefined()
  expect(revocations.revokedAt(token('2'))).toBe(FROZEN_TIME)
})

test.each([
  ['app a', 366],
  ['account a', 366],
  ['user a', 2],
] as const)('keeps the revocation of %s for longer than its tokens can live: %i days', async (holder, days) => {
  const { store, added } = createStore()
  await create(store, createFrozenClock()).revokeIssued(holder)
  expect(added).toEqual([{ subject: holder, issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + days * 86_400_000 }])
})
