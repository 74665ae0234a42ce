import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Credential } from '../../../src/core/ports/credential-store.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { runTrimint } from '../../support/command.ts'
import { createCredential, createRecord } from '../../support/records.ts'
import { KEY } from '../../support/service.ts'
import { FROZEN_TIME } from '../../support/time.ts'

const folder = mkdtempSync(join(tmpdir(), 'trimint-credentials-'))
const file = join(folder, 'trimint.yaml')
writeFileSync(file, `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY} }]\nstore: sqlite:trimint.db`)

let stores: Stores
afterAll(async () => {
  await stores.close()
  rmSync(folder, { recursive: true })
})

const run = (words: string) => runTrimint(words, { variables: { TRIMINT_CONFIG: file } })

const credential = (username: string, keyId: string, aaid: string): Credential =>
  createCredential({ aaid, keyId, username, signCounter: 7, registeredAt: FROZEN_TIME })

beforeAll(async () => {
  stores = await openStores(`sqlite:${join(folder, 'trimint.db')}`)
  await stores.tokens.create(createRecord({ tokenDigest: 'token', createdAt: FROZEN_TIME }))
  await stores.tokens.redeem('token', 'registration', FROZEN_TIME)
  const registrations = [
    credential('jeff', 'a', 'F1D0#0001'),
    credential('jeff', 'b', 'F1D0#0002'),
    credential('eve\n\u009b', 'c', 'F1D0#0001'),
  ]
  const outcome = { settledAt: FROZEN_TIME, statusCode: 1200 }
  expect(await stores.tokens.settle('token', { outcome, registrations, uses: [] }, FROZEN_TIME)).toBe('settled')
})

const A = '2026-01-02T03:04:05.678Z  never  F1D0#0001  a  7  "jeff"\n'
const B = '2026-01-02T03:04:05.678Z  never  F1D0#0002  b  7  "jeff"\n'
const C = '2026-01-02T03:04:05.678Z  never  F1D0#0001  c  7  "eve\\n\\u009b"\n'

test.each([
  ['', C + A + B],
  ['--user jeff', A + B],
  ['--aaid f1d0#0001', C + A],
  ['--user jeff --aaid F1D0#0001', A],
  ['--key b', B],
  ['--user nobody', ''],
])('credentials list %s prints the selected keys', async (words, out) => {
  expect(await run(`credentials list ${words}`)).toMatchObject({ code: 0, out })
})

test('credentials remove deletes the selected keys, and fails where there is none', async () => {
  expect(await run('credentials remove')).toMatchObject({ code: 1, out: '' })
  expect(await run('credentials remove --user jeff --key b')).toMatchObject({ code: 0, out: `removed  ${B}` })
  expect(await run('credentials remove --user jeff --key b')).toMatchObject({ code: 1, out: '' })
  expect(await run('credentials remove --aaid F1D0#0001')).toMatchObject({
    code: 0,
    out: `removed  ${C}removed  ${A}`,
  })
  expect((await run('credentials list')).out).toBe('')
})
