import { expect, test } from 'vitest'
import { redactConfiguration } from '../../../src/development/configuration/secrets.ts'

test.each([
  ['redis://user:p@ss:w@rd@host:6379/0', 'redis://[redacted]@host:6379/0'],
  ['rediss://:p%40ss@host/0?ca=/etc/a@b.pem', 'rediss://[redacted]@host/0?ca=/etc/a@b.pem'],
  ['postgres://user:p%40ss@one,two:5433/db?sslmode=disable', 'postgres://[redacted]@one,two:5433/db?sslmode=disable'],
  ['redis://:p ss@host/0', 'redis://[redacted]@host/0'],
  ['redis://host/0', 'redis://host/0'],
])('L20: shows the store %s without its credentials', (store, shown) => {
  expect(redactConfiguration({ store })).toEqual({ store: shown })
})
