import { expect, test } from 'vitest'
import type { Clock } from '../../../src/core/clock.ts'
import type { Revocation, RevocationStore } from '../../../src/core/ports/revocation-store.ts'
import { createRevocations, MAX_STALENESS_MS } from '../../../src/core/revocations.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

/** A store that counts how often it is asked, in pages of one. */
function createStore() {
  const added: Revocation[] = []
  const asked: (string | undefined)[] = []
  let away = false
  const store: RevocationStore = {
    add: async (revocation) => void added.push(revocation),
    async since(cursor) {
      asked.push(cursor)
      if (away) throw new Error('the store is away')
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
    set away(value: boolean) {
      away = value
    },
  }
}

/** As long as a test does not say otherwise, time goes evenly. */
const create = (store: RevocationStore, clock: Clock, uptime = clock) => createRevocations({ store, clock, uptime })

const token = (tokenId: string, issuedAt = FROZEN_TIME) => ({ tokenId, holder: 'app a' as const, issuedAt })

test('memory is relied on for a second, then the store is read first', async () => {
  const clock = createFrozenClock()
  const { store, asked } = createStore()
  const revocations = create(store, clock)
  await revocations.refreshIfStale()
  expect(asked).toHaveLength(1)
  clock.advance(MAX_STALENESS_MS - 1)
  expect(revocations.refreshIfStale()).toBeUndefined()
  clock.advance(1)
  await revocations.refreshIfStale()
  expect(asked).toHaveLength(2)
})

test.each([
  ['a clock that is set back', -29_500, 1_000],
  ['a machine that was asleep', 30_000, 0],
])('%s does not make memory last longer', async (_what, byClock, byUptime) => {
  const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
  const revocations = create(createStore().store, clock, uptime)
  await revocations.refreshIfStale()
  clock.advance(byClock)
  uptime.advance(byUptime)
  expect(revocations.refreshIfStale()).toBeInstanceOf(Promise)
})

test('those who wait at the same time wait for one reading', async () => {
  const { store, asked } = createStore()
  const revocations = create(store, createFrozenClock())
  await Promise.all([revocations.refreshIfStale(), revocations.refreshIfStale(), revocations.refresh()])
  expect(asked).toHaveLength(1)
})

test('while the store is away nobody can say, and each asks anew', async () => {
  const parts = createStore()
  const revocations = create(parts.store, createFrozenClock())
  parts.away = true
  await expect(revocations.refreshIfStale()).rejects.toThrow('away')
  parts.away = false
  await revocations.refreshIfStale()
  expect(revocations.refreshIfStale()).toBeUndefined()
})

test('what another process has added is known after a reading, however many pages it takes', async () => {
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

test('a token that is revoked is so here at once; again, or after its end, is nothing new', async () => {
  const { store, added } = createStore()
  const revocations = create(store, createFrozenClock())
  expect(await revocations.revokeToken('1', FROZEN_TIME + 1)).toBe(true)
  expect(revocations.revokedAt(token('1'))).toBe(FROZEN_TIME)
  expect(await revocations.revokeToken('1', FROZEN_TIME + 1)).toBe(false)
  expect(await revocations.revokeToken('2', FROZEN_TIME)).toBe(false)
  // Again all the same: the store may have lost it.
  const revocation = { subject: 'token 1', issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + 1 }
  expect(added).toEqual([revocation, revocation])
})

test('everything issued to a holder at that time or before is revoked; what comes later is not, nor is anybody else', async () => {
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

test('the later of two revocations stands, in whatever order they are read', async () => {
  const { store, added } = createStore()
  const revocations = create(store, createFrozenClock())
  added.push({ subject: 'app a', issuedUntil: FROZEN_TIME + 9, expires: FROZEN_TIME + 9_000 })
  added.push({ subject: 'app a', issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + 10_000 })
  await revocations.refresh()
  expect(revocations.revokedAt(token('1', FROZEN_TIME + 9))).toBe(FROZEN_TIME + 9)
})

test('users concern as long as something of theirs is revoked', async () => {
  const clock = createFrozenClock()
  const revocations = create(createStore().store, clock)
  await revocations.revokeIssued('account jeff')
  expect(revocations.concernUsers()).toBe(false)
  await revocations.revokeIssued('user jeff')
  await revocations.revokeIssued('user jeff')
  expect(revocations.concernUsers()).toBe(true)
  clock.advance(2 * 86_400_000 + 60_000)
  await revocations.sweep(clock())
  expect(revocations.concernUsers()).toBe(false)
})

test('users concern until the last of them is forgotten, whoever else is', async () => {
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
  clock.set(FROZEN_TIME + 2 * 86_400_000 + 60_000)
  await revocations.sweep(clock())
  expect(revocations.concernUsers()).toBe(true)
  clock.advance(1_000)
  await revocations.sweep(clock())
  expect(revocations.concernUsers()).toBe(false)
})

test('a sweep forgets what expired a minute ago, and only that', async () => {
  const clock = createFrozenClock()
  const revocations = create(createStore().store, clock)
  await revocations.revokeToken('1', FROZEN_TIME + 1_000)
  await revocations.revokeToken('2', FROZEN_TIME + 1_001)
  clock.advance(61_000)
  await revocations.sweep(clock())
  expect(revocations.revokedAt(token('1'))).toBeUndefined()
  expect(revocations.revokedAt(token('2'))).toBe(FROZEN_TIME)
})

test.each([
  ['app a', 366],
  ['account a', 366],
  ['user a', 2],
] as const)('what was issued to %s is revoked for longer than any of it can live: %i days', async (holder, days) => {
  const { store, added } = createStore()
  await create(store, createFrozenClock()).revokeIssued(holder)
  expect(added).toEqual([{ subject: holder, issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + days * 86_400_000 }])
})
