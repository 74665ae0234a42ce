import { setImmediate as endOfTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createBatcher } from '../../../src/store/redis/batcher.ts'

/** A gathering whose step answers each number with its square, and what it was given. */
function createSquares() {
  const groups: number[][] = []
  const gathering = createBatcher(async (items: readonly number[]) => {
    groups.push([...items])
    if (items.includes(13)) throw new Error('not thirteen')
    return items.map((item) => item * item)
  })
  return { gathering, groups }
}

test('what a turn brings is taken in one step, and each has its own answer', async () => {
  const { gathering, groups } = createSquares()
  const answers = [1, 2, 3].map((item) => gathering.take(item))
  expect(groups).toEqual([])
  expect(await Promise.all(answers)).toEqual([1, 4, 9])
  expect(groups).toEqual([[1, 2, 3]])
  expect(await gathering.take(4)).toBe(16)
  expect(groups).toEqual([[1, 2, 3], [4]])
})

test('what a turn does not bring is left to the next', async () => {
  const { gathering, groups } = createSquares()
  const first = gathering.take(1)
  await endOfTurn()
  const second = gathering.take(2)
  expect(await Promise.all([first, second])).toEqual([1, 4])
  expect(groups).toEqual([[1], [2]])
})

test('many are taken in several steps, one that fails leaves the others alone', async () => {
  const { gathering, groups } = createSquares()
  const items = Array.from({ length: 130 }, (_, at) => at)
  const results = await Promise.allSettled(items.map((item) => gathering.take(item)))
  expect(groups.map(({ length }) => length)).toEqual([64, 64, 2])
  expect(groups.flat()).toEqual(items)
  expect(results.slice(0, 64).map(({ status }) => status)).toEqual(Array(64).fill('rejected'))
  expect(results.slice(64)).toEqual(items.slice(64).map((item) => ({ status: 'fulfilled', value: item * item })))
})

test('what is there can be taken at once, and is not taken again', async () => {
  const { gathering, groups } = createSquares()
  const answer = gathering.take(5)
  gathering.flush()
  expect(groups).toEqual([[5]])
  const next = gathering.take(6)
  expect(await Promise.all([answer, next])).toEqual([25, 36])
  await endOfTurn()
  expect(groups).toEqual([[5], [6]])
})

test('a step that does not answer everybody has failed', async () => {
  const gathering = createBatcher(async () => [1])
  const results = await Promise.allSettled([gathering.take('a'), gathering.take('b')])
  const refused = { status: 'rejected', reason: new Error('1 answers to 2 items') }
  expect(results).toEqual([refused, refused])
})

/** A gathering whose steps end when they are told to. */
function createHanging() {
  const steps: { readonly items: readonly number[]; readonly end: () => void }[] = []
  const gathering = createBatcher(
    (items: readonly number[]) =>
      new Promise<readonly number[]>((resolve) => steps.push({ items, end: () => resolve(items) })),
  )
  return { gathering, steps, groups: () => steps.map(({ items }) => items) }
}

test('what comes while two steps are under way waits for one of them, and goes together', async () => {
  const { gathering, steps, groups } = createHanging()
  const answers = [gathering.take(1)]
  for (const item of [2, 3, 4]) {
    await endOfTurn()
    answers.push(gathering.take(item))
  }
  await endOfTurn()
  expect(groups()).toEqual([[1], [2]])
  steps[1]?.end()
  await endOfTurn()
  expect(groups()).toEqual([[1], [2], [3, 4]])
  for (const { end } of steps) end()
  expect(await Promise.all(answers)).toEqual([1, 2, 3, 4])
})

describe('steps that hang', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())

  /** Two steps that hang, of the items 1 and 2. */
  async function hang() {
    const hanging = createHanging()
    hanging.gathering.take(1)
    await endOfTurn()
    hanging.gathering.take(2)
    await endOfTurn()
    return hanging
  }

  test('are waited for 20 ms, each time', async () => {
    const { gathering, groups } = await hang()
    for (const [at, item] of [3, 4].entries()) {
      gathering.take(item)
      vi.advanceTimersByTime(19)
      await endOfTurn()
      expect(groups()).toHaveLength(2 + at)
      vi.advanceTimersByTime(1)
      expect(groups().at(-1)).toEqual([item])
    }
    expect(vi.getTimerCount()).toBe(0)
  })

  test('and end are waited for no longer', async () => {
    const { gathering, steps, groups } = await hang()
    gathering.take(3)
    expect(vi.getTimerCount()).toBe(1)
    steps[0]?.end()
    await endOfTurn()
    expect(groups()).toEqual([[1], [2], [3]])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('do not make anybody wait anew when another one ends', async () => {
    const { gathering, steps, groups } = await hang()
    gathering.take(3)
    vi.advanceTimersByTime(20)
    gathering.take(4)
    vi.advanceTimersByTime(10)
    steps[2]?.end()
    await endOfTurn()
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(10)
    expect(groups()).toEqual([[1], [2], [3], [4]])
  })

  test('hold up nobody who takes what is there at once', async () => {
    const { gathering, groups } = await hang()
    gathering.take(3)
    gathering.flush()
    expect(groups()).toEqual([[1], [2], [3]])
    expect(vi.getTimerCount()).toBe(0)
  })
})
