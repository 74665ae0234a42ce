import { describe, expect, test } from 'vitest'
import type { Clock } from '../../../src/core/clock.ts'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import type { Revocation, RevocationStore } from '../../../src/core/ports/revocation-store.ts'
import { CLOCK_MARGIN_MS, createRevocations, MAX_STALENESS_MS } from '../../../src/core/revocations.ts'
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
  expect(revocations.revokedAt(token('2', FROZEN_TIME + CLOCK_MARGIN_MS))).toBe(FROZEN_TIME)
  expect(revocations.revokedAt(token('2', FROZEN_TIME + CLOCK_MARGIN_MS + 1))).toBeUndefined()
  expect(revocations.revokedAt({ ...token('3', FROZEN_TIME), holder: 'app b' })).toBeUndefined()
  expect(revocations.revokedAt({ ...token('4', FROZEN_TIME), holder: undefined })).toBeUndefined()
  clock.advance(10)
  await revocations.revokeIssued('app a')
  expect(revocations.revokedAt(token('2', FROZEN_TIME + CLOCK_MARGIN_MS + 1))).toBe(FROZEN_TIME + 10)
})

test('keeps the later of two revocations, in any order', async () => {
  const { store, added } = createStore()
  const revocations = create(store, createFrozenClock(FROZEN_TIME + 9))
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
  const issuedUntil = FROZEN_TIME + CLOCK_MARGIN_MS
  expect(added).toEqual([{ subject: holder, issuedUntil, expires: FROZEN_TIME + days * 86_400_000 }])
})

describe('a process whose clock is ahead', () => {
  const SKEW = 120_000

  /** Creates a process that has read the store once, at a time that is ahead of the others. */
  async function createAhead(store: RevocationStore, skew = SKEW) {
    const clock = createFrozenClock(FROZEN_TIME + skew)
    const revocations = create(store, clock)
    await revocations.refresh()
    return { revocations, clock, issued: token('ahead', clock()) }
  }

  test.each(['app a', 'account a', 'user a'] as const)(
    'extends a revocation of %s to its own tokens',
    async (holder) => {
      const { store } = createStore()
      const ahead = await createAhead(store)
      const [revoker, other] = [create(store, createFrozenClock()), create(store, createFrozenClock())]
      await revoker.revokeIssued(holder)
      for (const reader of [ahead.revocations, revoker, other]) {
        await reader.refresh()
        expect(reader.revokedAt({ ...ahead.issued, holder })).toBeDefined()
      }
      expect(other.revokedAt({ ...ahead.issued, holder })).toBe(FROZEN_TIME)
      expect(other.revokedAt({ ...token('later', ahead.clock() + CLOCK_MARGIN_MS + 1), holder })).toBeUndefined()
    },
  )

  test('extends it also after its clock has been corrected', async () => {
    const { store } = createStore()
    const ahead = await createAhead(store)
    ahead.clock.advance(-SKEW)
    await create(store, ahead.clock).revokeIssued('app a')
    await ahead.revocations.refresh()
    expect(ahead.revocations.revokedAt(ahead.issued)).toBe(FROZEN_TIME)
  })

  test('extends it by the next read when the store fails during the first', async () => {
    const { store, added } = createStore()
    const ahead = await createAhead(store)
    await create(store, createFrozenClock()).revokeIssued('app a')
    const { add } = store
    store.add = () => Promise.reject(new Error('store failed'))
    await expect(ahead.revocations.refresh()).rejects.toThrow('store failed')
    store.add = add
    await ahead.revocations.refresh()
    expect(added.map(({ issuedUntil }) => issuedUntil)).toEqual([
      FROZEN_TIME + CLOCK_MARGIN_MS,
      FROZEN_TIME + SKEW + CLOCK_MARGIN_MS,
    ])
  })

  test('extends it once among several that are ahead, and leaves what it has extended', async () => {
    const { store, added } = createStore()
    const several = [await createAhead(store), await createAhead(store), await createAhead(store, SKEW + 100)]
    await create(store, createFrozenClock()).revokeIssued('app a')
    for (let round = 0; round < 5; round++) {
      for (const { clock, revocations } of several) {
        await revocations.refresh()
        clock.advance(400)
      }
    }
    expect(added).toHaveLength(2)
  })

  test('does not extend it when the clock is more than five minutes ahead, which would reject new tokens for as long', async () => {
    const { store, added } = createStore()
    const ahead = await createAhead(store, 301_000)
    await create(store, createFrozenClock()).revokeIssued('app a')
    await ahead.revocations.refresh()
    ahead.clock.advance(-301_000)
    await ahead.revocations.refresh()
    await create(store, ahead.clock).revokeIssued('app b')
    await ahead.revocations.refresh()
    expect(added).toHaveLength(2)
  })
})

describe('a process whose clock is right', () => {
  test('does not extend revocations that it reads at start, late, or again', async () => {
    const clock = createFrozenClock()
    const { store, added } = createStore()
    await create(store, clock).revokeIssued('app a')
    clock.advance(10_000)
    const reader = create(store, clock)
    await reader.refresh()
    clock.advance(1_000)
    await create(store, clock).revokeIssued('app b')
    clock.advance(60_000)
    await reader.refresh()
    // A reader of Redis begins again after a reconnect.
    const { since } = store
    clock.advance(60_000)
    store.since = async (cursor) => ({ ...(await since(undefined)), complete: cursor === 'again', cursor: 'again' })
    await reader.refresh()
    expect(added).toHaveLength(2)
    expect(reader.revokedAt({ ...token('1', clock()), holder: 'app b' })).toBeUndefined()
  })

  test('does not extend the revocation of a single token', async () => {
    const clock = createFrozenClock(FROZEN_TIME + 60_000)
    const { store, added } = createStore()
    const reader = create(store, clock)
    await reader.refresh()
    await create(store, createFrozenClock()).revokeToken('1', FROZEN_TIME + 600_000)
    await reader.refresh()
    expect(added).toHaveLength(1)
  })
})
