import type { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import { createReader } from '../../../src/store/sqlite/reader.ts'
import { createSqliteTokenStore, prepareTokenOperations } from '../../../src/store/sqlite/token-store.ts'
import { SWEEP_STEP } from '../../../src/store/sweep.ts'
import { createRecord, LIFETIME_MS, NOW } from '../../support/records.ts'

const NO_LIMIT = { maxRecords: 1_000_000, maxBytes: 1_000_000_000 }

let database: DatabaseSync
let operations: ReturnType<typeof prepareTokenOperations>
beforeEach(() => {
  database = openDatabase(':memory:')
  operations = prepareTokenOperations(database)
})
afterEach(() => database.close())

test('accepts a record without a client whose bytes are exactly what is left, and none larger', () => {
  const record = () => createRecord({ client: undefined, uafRequest: 'ä'.repeat(10) })
  expect(operations.create(record(), { ...NO_LIMIT, maxBytes: 40 })).toBe(true)
  expect(operations.create(record(), { ...NO_LIMIT, maxBytes: 39 })).toBe(false)
  expect(operations.create(record(), { ...NO_LIMIT, maxBytes: 40 })).toBe(true)
})

test('drops swept records from the look-up table', () => {
  for (let count = 0; count < 3; count++) operations.create(createRecord())
  expect(operations.sweep(NOW + LIFETIME_MS)).toBe(3)
  expect(operations.tidy(), 'the last one is not in it yet').toBe(2)
  expect(operations.tidy()).toBe(0)
  expect(database.prepare('SELECT count(*) AS rows FROM lookup.tokens').get()).toEqual({ rows: 0 })
})

test('sweeps the file only when a record is due, and the look-up table in any case, until nothing is left', async () => {
  const reader = createReader(database, () => undefined, 1_000)
  const write = vi.fn().mockResolvedValue(0)
  const read = vi.fn().mockResolvedValueOnce(SWEEP_STEP).mockResolvedValueOnce(SWEEP_STEP).mockResolvedValue(0)
  const store = createSqliteTokenStore({ reader, read, write })
  operations.create(createRecord())
  const end = NOW + LIFETIME_MS + RETENTION_MS
  await store.sweep(end - 1)
  expect(write).not.toHaveBeenCalled()
  expect(read.mock.calls).toEqual([['tidy'], ['tidy'], ['tidy']])
  await store.sweep(end)
  expect(write.mock.calls).toEqual([['sweep', NOW + LIFETIME_MS]])
})
