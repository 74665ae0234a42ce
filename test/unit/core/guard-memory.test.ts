import { expect, test } from 'vitest'
import { createGuardMemory, type RememberedCount } from '../../../src/core/guard-memory.ts'

const NOW = 1_000

const count = (key: string, failures: number, isUnsaved?: boolean): RememberedCount => ({
  key,
  failures,
  expires: NOW + 1,
  ...(isUnsaved === undefined ? {} : { isUnsaved }),
})

const isBlock = ({ failures }: { failures: number }) => failures >= 5

test('is empty without counts and without blocks', () => {
  const memory = createGuardMemory()
  expect(memory.isEmpty).toBe(true)
  memory.set(count('a', 1), false)
  expect(memory.isEmpty).toBe(false)
  memory.delete('a')
  expect(memory.isEmpty).toBe(true)
  memory.set(count('b', 5), true)
  expect(memory.isEmpty).toBe(false)
})

test('has one count for a key, when it becomes a block and when it is none any more', () => {
  const memory = createGuardMemory()
  for (const [failures, isNowBlock] of [
    [1, false],
    [5, true],
    [2, false],
  ] as const) {
    memory.set(count('a', failures), isNowBlock)
    expect(memory.get('a')?.failures).toBe(failures)
  }
  expect(memory.delete('a')?.failures).toBe(2)
  expect(memory.get('a')).toBeUndefined()
})

test.each([
  ['a count', 1],
  ['a block', 5],
])('deletes %s, and returns it', (_, failures) => {
  const memory = createGuardMemory()
  memory.set(count('a', failures), isBlock({ failures }))
  expect(memory.delete('a')).toEqual(count('a', failures))
  expect(memory.get('a')).toBeUndefined()
  expect(memory.delete('a')).toBeUndefined()
})

test('replaces counts and blocks by those that the store lists', () => {
  const memory = createGuardMemory()
  memory.set(count('gone', 1), false)
  memory.set(count('lifted', 5), true)
  memory.replace([count('a', 2), count('b', 5)], NOW, isBlock)
  expect(['gone', 'lifted', 'a', 'b'].map((key) => memory.get(key)?.failures)).toEqual([undefined, undefined, 2, 5])
})

test.each([
  ['keeps one with more failures than the store knows', { failures: 3, listed: 2 }, 3],
  ['keeps one that the store does not know', { failures: 3, listed: undefined }, 3],
  ['takes the one of the store if it has more', { failures: 3, listed: 4 }, 4],
])('%s, if it has unsaved failures', (_, { failures, listed }, expected) => {
  const memory = createGuardMemory()
  memory.set(count('a', failures, true), false)
  memory.replace(listed === undefined ? [] : [count('a', listed)], NOW, isBlock)
  expect(memory.get('a')?.failures).toBe(expected)
})

test('takes the count of the store where it has as many failures: none is unsaved any more', () => {
  const memory = createGuardMemory()
  memory.set(count('a', 3, true), false)
  memory.replace([count('a', 3)], NOW, isBlock)
  expect(memory.get('a')).toEqual(count('a', 3))
})

test('drops unsaved failures once they have expired', () => {
  const memory = createGuardMemory()
  memory.set(count('a', 3, true), false)
  memory.replace([], NOW, isBlock)
  expect(memory.get('a')).toEqual(count('a', 3, true))
  memory.replace([], NOW + 1, isBlock)
  expect(memory.get('a')).toBeUndefined()
})
