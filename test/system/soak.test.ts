import { expect, test } from 'vitest'
import { soak } from '../long/soak/run.ts'

test('leaves memory, descriptors and the store as they were after a short soak on SQLite', {
  timeout: 120_000,
}, async () => {
  const { faults, report } = await soak({ store: 'sqlite', tokens: 1_000, maxMinutes: 2 })
  expect(faults, report).toEqual([])
})
