import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createOpenApi } from '../../openapi/document.ts'

// By itself, since it needs no server: whatever changes in a schema is noticed here first (test/mutation).

test('the OpenAPI document that is checked in is current', () => {
  expect(readFileSync('openapi/openapi.json', 'utf8')).toBe(createOpenApi())
})
