import { expect, test } from 'vitest'
import { soak } from '../long/soak/run.ts'

test('a short soak on SQLite leaves memory, descriptors and the store as they were', { timeout: 120_000 }, async () => {
  const { faults, report } = await soak({ store: 'sqlite', tokens: 400, maxMinutes: 2 })
  expect(faults, report).toEqual([])
})
