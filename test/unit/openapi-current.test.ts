import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createOpenApi } from '../../openapi/document.ts'

// By itself, since it needs no server: whatever changes in a schema is noticed here first (test/mutation).

test('keeps openapi.json current (npm run openapi)', () => {
  expect(readFileSync('openapi/openapi.json', 'utf8')).toBe(createOpenApi())
})
