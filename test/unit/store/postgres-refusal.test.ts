import { expect, test } from 'vitest'
import { findDurabilityWarnings } from '../../../src/store/postgres/durability.ts'
import { isRefusal, RefusedError, sqlStateOf } from '../../../src/store/postgres/refusal.ts'
import { decode, encode } from '../../../src/store/postgres/text.ts'
import { createSqlError } from '../../support/postgres-stand-in.ts'

test.each([
  [new RefusedError('no'), true],
  ...['28000', '28P01', '3D000', '42501'].map((sqlState) => [createSqlError(sqlState), true] as const),
  ...['128000', '280000', '53300', 'x3D000'].map((sqlState) => [createSqlError(sqlState), false] as const),
  [new Error('28P01'), false],
] as const)('tells whether only an operator can remove the cause: %o', (error, expected) => {
  expect(isRefusal(error)).toBe(expected)
})

test('reads the SQLSTATE of an error of the server, and nothing from others', () => {
  expect(sqlStateOf(createSqlError('23505'))).toBe('23505')
  expect(sqlStateOf(new Error('no'))).toBe('')
  expect(sqlStateOf(Object.assign(new Error('no'), { code: 23_505 }))).toBe('')
  expect(new RefusedError('no').name).toBe('RefusedError')
})

const NO_STANDBY = 'synchronous_standby_names is empty: a fail-over loses the last writes'
const NO_FSYNC = 'fsync is off: a crash of the machine can destroy the database'

test.each([
  [{ standbys: 'a', fsync: 'on' }, []],
  [{ standbys: '', fsync: 'on' }, [NO_STANDBY]],
  [{ standbys: 'a', fsync: 'off' }, [NO_FSYNC]],
  [{ standbys: '', fsync: 'off' }, [NO_STANDBY, NO_FSYNC]],
])('warns about settings with which the server can lose writes: %o', async (settings, expected) => {
  expect(await findDurabilityWarnings({ run: async () => [settings] })).toEqual(expected)
})

test.each(['', 'text', 'a\0b', '\ud800', '"\\'])('encodes text without what PostgreSQL refuses: %j', (text) => {
  expect(decode(encode(text))).toBe(text)
  expect(encode(text)).not.toMatch(/[\0\ud800]/)
})
