import { expect, test } from 'vitest'
import { createMetrics } from '../../../src/observability/metrics.ts'
import { instrumentStores } from '../../../src/store/instrumented.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

/** Opens stores in memory whose `counted` takes 1.5 seconds of a frozen clock. */
async function openSlowly() {
  const uptime = createFrozenClock(FROZEN_TIME)
  const metrics = createMetrics(createFrozenClock())
  const stores = await openStores('sqlite::memory:')
  const uses: Stores['uses'] = {
    ...stores.uses,
    counted(tokenId) {
      uptime.advance(1_500)
      return stores.uses.counted(tokenId)
    },
  }
  const measured = instrumentStores({ ...stores, uses }, metrics, uptime)
  const read = async (name: string) =>
    (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith(name))
  return { stores: measured, read }
}

test('observes the duration of each call in seconds, labelled with its store and operation', async () => {
  const { stores, read } = await openSlowly()
  expect(await read('trimint_store_duration_seconds_sum')).toEqual([])
  expect(await stores.uses.counted('a')).toBe(0)
  expect(await stores.uses.counted('b')).toBe(0)
  expect(await stores.failures.list(FROZEN_TIME, { blocks: 1, counts: 1 })).toEqual([])
  expect(await read('trimint_store_duration_seconds_sum')).toEqual([
    'trimint_store_duration_seconds_sum{store="uses",operation="counted"} 3',
    'trimint_store_duration_seconds_sum{store="failures",operation="list"} 0',
  ])
  expect(await read('trimint_store_errors_total{')).toEqual([])
  await stores.close()
})

test('counts a call that fails, observes its duration, and rejects with the same error', async () => {
  const { stores, read } = await openSlowly()
  await stores.close()
  await expect(stores.uses.counted('a')).rejects.toThrow('the store is closed')
  expect(await read('trimint_store_errors_total{')).toEqual([
    'trimint_store_errors_total{store="uses",operation="counted"} 1',
  ])
  expect(await read('trimint_store_duration_seconds_sum')).toEqual([
    'trimint_store_duration_seconds_sum{store="uses",operation="counted"} 1.5',
  ])
})
