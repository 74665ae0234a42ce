import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStores } from '../../../src/store/open-stores.ts'
import { runTrimint } from '../../support/command.ts'
import { KEY } from '../../support/service.ts'
import { FROZEN_TIME } from '../../support/time.ts'

const folder = mkdtempSync(join(tmpdir(), 'trimint-guard-'))
const file = join(folder, 'trimint.yaml')
writeFileSync(file, `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY} }]\nstore: sqlite:trimint.db`)

const stores = await openStores(`sqlite:${join(folder, 'trimint.db')}`, {
  onError: () => undefined,
  onFatal: () => undefined,
})
afterAll(async () => {
  await stores.close()
  rmSync(folder, { recursive: true })
})

const run = (words: string) => runTrimint(words, { variables: { TRIMINT_CONFIG: file } })

const KEYS = [
  'address 2001:db8:1:2::/64',
  'account demo from 2001:db8:1:2::/64',
  'address 192.0.2.1',
  'address unreadable',
]
beforeAll(async () => {
  for (const key of KEYS) await stores.failures.add(key, 60_000, FROZEN_TIME)
})

test.each([
  ['2001:db8:1:2::/64', ['lifted  address 2001:db8:1:2::/64', 'lifted  account demo from 2001:db8:1:2::/64']],
  ['192.0.2.1', ['lifted  address 192.0.2.1']],
  ['unreadable', ['lifted  address unreadable']],
])('guard lift accepts what guard list prints: %s', async (network, lines) => {
  expect((await run('guard list')).out).toContain(`address ${network}\n`)
  const { code, out } = await run(`guard lift --address ${network}`)
  expect({ code, lines: out.trim().split('\n').toSorted() }).toEqual({ code: 0, lines: lines.toSorted() })
})

test.each(['nonsense', '192.0.2.0/24', '2001:db8::/32', '300.1.1.1'])(
  'guard lift rejects %s with a usage error: exit code 2',
  async (address) => {
    const { code, out, err } = await run(`guard lift --address ${address}`)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/Expected an address, or a network as trimint guard list prints it\./)
  },
)

test('guard list and lift print escapes for the control characters that a client put into a user name', async () => {
  await stores.failures.add('account a\n\u001b]52;c;eA==\u0007\u009b1m\u007f from 192.0.2.9', 60_000, FROZEN_TIME)
  const name = 'account a\\u000a\\u001b]52;c;eA==\\u0007\\u009b1m\\u007f from 192.0.2.9\n'
  expect((await run('guard list')).out).toContain(name)
  expect((await run('guard lift --address 192.0.2.9')).out).toBe(`lifted  ${name}`)
})
