import { expect, test } from 'vitest'
import { createRevocations, RELIED_ON } from '../../src/core/revocations.ts'
import type { Revocation, RevocationStore } from '../../src/store/revocation-store.ts'
import { createFrozenClock, FROZEN_TIME } from '../support/time.ts'

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

const token = (tokenId: string, issuedAt = FROZEN_TIME) => ({ tokenId, holder: 'app a' as const, issuedAt })

test('memory is relied on for a second, then the store is read first', async () => {
  const clock = createFrozenClock()
  const { store, asked } = createStore()
  const revocations = createRevocations(store, clock)
  await revocations.ready()
  expect(asked).toHaveLength(1)
  clock.advance(RELIED_ON - 1)
  expect(revocations.ready()).toBeUndefined()
  clock.advance(1)
  await revocations.ready()
  expect(asked).toHaveLength(2)
})

test('a clock that was set back is no reason to rely on memory', async () => {
  const clock = createFrozenClock()
  const revocations = createRevocations(createStore().store, clock)
  await revocations.ready()
  clock.advance(-1)
  expect(revocations.ready()).toBeInstanceOf(Promise)
})

test('those who wait at the same time wait for one reading', async () => {
  const { store, asked } = createStore()
  const revocations = createRevocations(store, createFrozenClock())
  await Promise.all([revocations.ready(), revocations.ready(), revocations.refresh()])
  expect(asked).toHaveLength(1)
})

test('while the store is away nobody can say, and each asks anew', async () => {
  const parts = createStore()
  const revocations = createRevocations(parts.store, createFrozenClock())
  parts.away = true
  await expect(revocations.ready()).rejects.toThrow('away')
  parts.away = false
  await revocations.ready()
  expect(revocations.ready()).toBeUndefined()
})

test('what another process has added is known after a reading, however many pages it takes', async () => {
  const { store, added } = createStore()
  const revocations = createRevocations(store, createFrozenClock())
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

test('a token that is revoked is so here at once; again, or after its end, is nothing', async () => {
  const { store, added } = createStore()
  const revocations = createRevocations(store, createFrozenClock())
  expect(await revocations.revokeToken('1', FROZEN_TIME + 1)).toBe(true)
  expect(revocations.revokedAt(token('1'))).toBe(FROZEN_TIME)
  expect(await revocations.revokeToken('1', FROZEN_TIME + 1)).toBe(false)
  expect(await revocations.revokeToken('2', FROZEN_TIME)).toBe(false)
  expect(added).toEqual([{ subject: 'token 1', issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + 1 }])
})

test('everything issued to a holder at that time or before is revoked; what comes later is not, nor is anybody else', async () => {
  const clock = createFrozenClock()
  const revocations = createRevocations(createStore().store, clock)
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
  const revocations = createRevocations(store, createFrozenClock())
  added.push({ subject: 'app a', issuedUntil: FROZEN_TIME + 9, expires: FROZEN_TIME + 9_000 })
  added.push({ subject: 'app a', issuedUntil: FROZEN_TIME, expires: FROZEN_TIME + 10_000 })
  await revocations.refresh()
  expect(revocations.revokedAt(token('1', FROZEN_TIME + 9))).toBe(FROZEN_TIME + 9)
})

test('users concern as long as something of theirs is revoked', async () => {
  const clock = createFrozenClock()
  const revocations = createRevocations(createStore().store, clock)
  await revocations.revokeIssued('account jeff')
  expect(revocations.concernUsers()).toBe(false)
  await revocations.revokeIssued('user jeff')
  await revocations.revokeIssued('user jeff')
  expect(revocations.concernUsers()).toBe(true)
  clock.advance(366 * 86_400_000)
  await revocations.sweep()
  expect(revocations.concernUsers()).toBe(false)
})

test('a sweep forgets what has expired, and only that', async () => {
  const clock = createFrozenClock()
  const revocations = createRevocations(createStore().store, clock)
  await revocations.revokeToken('1', FROZEN_TIME + 1_000)
  await revocations.revokeToken('2', FROZEN_TIME + 1_001)
  clock.advance(1_000)
  await revocations.sweep()
  expect(revocations.revokedAt(token('1'))).toBeUndefined()
  expect(revocations.revokedAt(token('2'))).toBe(FROZEN_TIME)
})
