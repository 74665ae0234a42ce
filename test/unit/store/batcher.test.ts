import { setImmediate as endOfTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createBatcher } from '../../../src/store/batcher.ts'

/** Creates a batcher that answers each number with its square, and lists the batches that its step received. */
function createSquares() {
  const batches: number[][] = []
  const batcher = createBatcher(async (items: readonly number[]) => {
    batches.push([...items])
    if (items.includes(13)) throw new Error('not thirteen')
    return items.map((item) => item * item)
  })
  return { batcher, batches }
}

test('runs one step for all items of an event-loop turn and resolves each with its own answer', async () => {
  const { batcher, batches } = createSquares()
  const answers = [1, 2, 3].map((item) => batcher.add(item))
  expect(batches).toEqual([])
  expect(await Promise.all(answers)).toEqual([1, 4, 9])
  expect(batches).toEqual([[1, 2, 3]])
  expect(await batcher.add(4)).toBe(16)
  expect(batches).toEqual([[1, 2, 3], [4]])
})

test('runs a second step for items of the next event-loop turn', async () => {
  const { batcher, batches } = createSquares()
  const first = batcher.add(1)
  await endOfTurn()
  const second = batcher.add(2)
  expect(await Promise.all([first, second])).toEqual([1, 4])
  expect(batches).toEqual([[1], [2]])
})

test('splits 130 items into steps of 64 and rejects only the items of a step that fails', async () => {
  const { batcher, batches } = createSquares()
  const items = Array.from({ length: 130 }, (_, at) => at)
  const results = await Promise.allSettled(items.map((item) => batcher.add(item)))
  expect(batches.map(({ length }) => length)).toEqual([64, 64, 2])
  expect(batches.flat()).toEqual(items)
  expect(results.slice(0, 64).map(({ status }) => status)).toEqual(Array(64).fill('rejected'))
  expect(results.slice(64)).toEqual(items.slice(64).map((item) => ({ status: 'fulfilled', value: item * item })))
})

test('runs a step at once on flush, and does not run it again', async () => {
  const { batcher, batches } = createSquares()
  const answer = batcher.add(5)
  batcher.flush()
  expect(batches).toEqual([[5]])
  const next = batcher.add(6)
  expect(await Promise.all([answer, next])).toEqual([25, 36])
  await endOfTurn()
  expect(batches).toEqual([[5], [6]])
})

test('rejects all items of a step that returns fewer answers than items', async () => {
  const batcher = createBatcher(async () => [1])
  const results = await Promise.allSettled([batcher.add('a'), batcher.add('b')])
  const refused = { status: 'rejected', reason: new Error('1 answers to 2 items') }
  expect(results).toEqual([refused, refused])
})

/** Creates a batcher whose steps run until `end` is called. */
function createHanging() {
  const steps: { readonly items: readonly number[]; readonly end: () => void }[] = []
  const batcher = createBatcher(
    (items: readonly number[]) =>
      new Promise<readonly number[]>((resolve) => steps.push({ items, end: () => resolve(items) })),
  )
  return { batcher, steps, batches: () => steps.map(({ items }) => items) }
}

test('runs one step for all items added while two steps are running, when one of them ends', async () => {
  const { batcher, steps, batches } = createHanging()
  const answers = [batcher.add(1)]
  for (const item of [2, 3, 4]) {
    await endOfTurn()
    answers.push(batcher.add(item))
  }
  await endOfTurn()
  expect(batches()).toEqual([[1], [2]])
  steps[1]?.end()
  await endOfTurn()
  expect(batches()).toEqual([[1], [2], [3, 4]])
  for (const { end } of steps) end()
  expect(await Promise.all(answers)).toEqual([1, 2, 3, 4])
})

describe('createBatcher with hanging steps', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())

  /** Starts two steps that do not end, for the items 1 and 2. */
  async function hang() {
    const hanging = createHanging()
    hanging.batcher.add(1)
    await endOfTurn()
    hanging.batcher.add(2)
    await endOfTurn()
    return hanging
  }

  test('starts the next step 20 ms after an item is added while two steps hang', async () => {
    const { batcher, batches } = await hang()
    for (const [at, item] of [3, 4].entries()) {
      batcher.add(item)
      vi.advanceTimersByTime(19)
      await endOfTurn()
      expect(batches()).toHaveLength(2 + at)
      vi.advanceTimersByTime(1)
      expect(batches().at(-1)).toEqual([item])
    }
    expect(vi.getTimerCount()).toBe(0)
  })

  test('starts the next step at once when a hanging step ends', async () => {
    const { batcher, steps, batches } = await hang()
    batcher.add(3)
    expect(vi.getTimerCount()).toBe(1)
    steps[0]?.end()
    await endOfTurn()
    expect(batches()).toEqual([[1], [2], [3]])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('keeps the running 20 ms timer when a later step ends', async () => {
    const { batcher, steps, batches } = await hang()
    batcher.add(3)
    vi.advanceTimersByTime(20)
    batcher.add(4)
    vi.advanceTimersByTime(10)
    steps[2]?.end()
    await endOfTurn()
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(10)
    expect(batches()).toEqual([[1], [2], [3], [4]])
  })

  test('starts the next step at once on flush while two steps hang', async () => {
    const { batcher, batches } = await hang()
    batcher.add(3)
    batcher.flush()
    expect(batches()).toEqual([[1], [2], [3]])
    expect(vi.getTimerCount()).toBe(0)
  })
})
