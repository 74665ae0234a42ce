import { expect, test } from 'vitest'
import { createFairQueue } from '../../../src/core/fair-queue.ts'

/** Creates a queue of items such as `a1`: the first item of the party `a`. */
function createQueueOf(...items: string[]) {
  const queue = createFairQueue<string>()
  for (const item of items) queue.push(item.slice(0, 1), item)
  const drain = () => Array.from({ length: queue.size }, () => queue.shift())
  return { queue, drain }
}

test('serves parties in turn, and the items of one party in their order', () => {
  const { drain } = createQueueOf('a1', 'a2', 'a3', 'b1', 'c1', 'c2')
  expect(drain()).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3'])
})

test('serves a party that joins after those that wait, once each', () => {
  const { queue, drain } = createQueueOf('a1', 'a2', 'b1', 'b2')
  expect(queue.shift()).toBe('a1')
  queue.push('c', 'c1')
  expect(drain()).toEqual(['b1', 'a2', 'c1', 'b2'])
})

test('returns undefined from an empty queue', () => {
  const { queue } = createQueueOf('a1')
  queue.shift()
  expect([queue.size, queue.shift(), queue.displaceFor('a')]).toEqual([0, undefined, undefined])
})

test.each([
  { waiting: ['a1', 'a2', 'b1'], party: 'c', displaced: 'a2' },
  { waiting: ['a1', 'b1', 'b2', 'b3'], party: 'a', displaced: 'b3' },
  { waiting: ['a1', 'a2', 'b1', 'b2'], party: 'c', displaced: 'a2' },
  { waiting: ['a1', 'a2', 'b1'], party: 'b', displaced: undefined },
  { waiting: ['a1', 'b1'], party: 'c', displaced: undefined },
  { waiting: ['a1', 'a2'], party: 'a', displaced: undefined },
])('displaces $displaced of $waiting for $party', ({ waiting, party, displaced }) => {
  const { queue, drain } = createQueueOf(...waiting)
  expect(queue.displaceFor(party)).toBe(displaced)
  expect(drain().toSorted()).toEqual(waiting.filter((item) => item !== displaced))
})
