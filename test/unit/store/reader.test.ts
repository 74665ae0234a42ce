import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { createReader } from '../../../src/store/sqlite/reader.ts'

const BUSY = Object.assign(new Error('database is locked'), { errcode: 5 })
const FULL = Object.assign(new Error('database or disk is full'), { errcode: 13 })

/** Milliseconds between two attempts. */
const PAUSE_MS = 10

function openReader(timeoutMs = 5 * PAUSE_MS, assertUsable: () => void = () => undefined) {
  return createReader(new DatabaseSync(':memory:'), assertUsable, timeoutMs)
}

/** Returns a query that finds the file busy so many times. */
function busyFor(times: number) {
  let left = times
  return vi.fn(() => {
    left -= 1
    if (left >= 0) throw BUSY
    return 'a row'
  })
}

test('repeats a query after a pause while the file is busy', async () => {
  const query = busyFor(5)
  const began = performance.now()
  expect(await openReader().run(query)).toBe('a row')
  expect(query).toHaveBeenCalledTimes(6)
  expect(performance.now() - began).toBeGreaterThan(4 * PAUSE_MS)
})

test('gives up when the file is still busy after the time-out', async () => {
  const query = busyFor(6)
  await expect(openReader().run(query)).rejects.toBe(BUSY)
  expect(query).toHaveBeenCalledTimes(6)
})

test('does not repeat a query that fails otherwise', async () => {
  const query = vi.fn(() => {
    throw FULL
  })
  await expect(openReader().run(query)).rejects.toBe(FULL)
  expect(query).toHaveBeenCalledTimes(1)
})

test('repeats no query once the stores are closed', async () => {
  let isClosed = false
  const assertUsable = () => {
    if (isClosed) throw new Error('the store is closed')
  }
  const running = openReader(1_000, assertUsable).run(busyFor(1_000))
  const rejected = expect(running).rejects.toThrow('the store is closed')
  await sleep(2 * PAUSE_MS)
  isClosed = true
  await rejected
})

test('closes its connection, also twice', () => {
  const database = new DatabaseSync(':memory:')
  const reader = createReader(database, () => undefined, PAUSE_MS)
  reader.close()
  expect(database.isOpen).toBe(false)
  expect(() => reader.close()).not.toThrow()
})
