import { expect, test } from 'vitest'
import { findChangedPaths } from '../../../src/config/config-diff.ts'
import { type ConfigurationInput, configurationSchema } from '../../../src/config/schema.ts'
import { APP, KEY } from '../../support/service.ts'

const OTHER_KEY = 'YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4'

const BASE: ConfigurationInput = {
  publicUrl: 'https://tokens.example.com',
  keys: [{ id: 'one', secret: KEY }],
  bws: { apps: [APP] },
  idscan: { accounts: [{ username: 'psc', password: 'plain:secret' }] },
}

function changes(after: Partial<ConfigurationInput>, before: Partial<ConfigurationInput> = {}): string[] {
  const parse = (changed: Partial<ConfigurationInput>) => configurationSchema.parse({ ...BASE, ...changed })
  return findChangedPaths(parse(before), parse(after))
}

test.each<[what: string, after: Partial<ConfigurationInput>, paths: string[]]>([
  ['nothing', {}, []],
  ['the same value, written differently', { guard: { block: '900s' } }, []],
  ['a value', { publicUrl: 'https://other.example.com' }, ['publicUrl']],
  ['a value inside a section', { bws: { lifetime: '1m', apps: [APP] } }, ['bws.lifetime']],
  ["an entry's secret", { bws: { apps: [{ ...APP, secret: 'plain:another' }] } }, ['bws.apps[app-1].secret']],
  ['a new entry', { bws: { apps: [APP, { ...APP, id: 'app-2' }] } }, ['bws.apps[app-2]']],
  ['a removed entry', { bws: { apps: [] } }, ['bws.apps[app-1]']],
  [
    'a disabled account',
    { idscan: { accounts: [{ username: 'psc', password: 'plain:secret', disabled: true }] } },
    ['idscan.accounts[psc].disabled'],
  ],
  ['a list of values', { trustProxy: ['10.0.0.0/8'] }, ['trustProxy']],
  ['a contract that is off', { bws: false }, ['bws']],
  ['keys with an id', { keys: [{ id: 'two', secret: KEY }] }, ['keys[one]', 'keys[two]']],
  ['keys without an id', { keys: [{ secret: KEY }] }, ['keys']],
])('returns the paths of a change: %s', (_what, after, paths) => {
  expect(changes(after)).toEqual(paths)
})

const KEYS = [
  { id: 'one', secret: KEY },
  { id: 'two', secret: OTHER_KEY },
]

test('returns the path of a list whose order has changed', () => {
  expect(changes({ keys: KEYS.toReversed() }, { keys: KEYS })).toEqual(['keys'])
})

test('returns the paths of the list and of a new entry if both have changed', () => {
  const keys = [...KEYS.toReversed(), { id: 'three', secret: KEY }]
  expect(changes({ keys }, { keys: KEYS })).toEqual(['keys', 'keys[three]'])
})

test('returns every changed path and no value', () => {
  const after = { publicUrl: 'https://other.example.com', store: 'redis://:the-password@host:6379/0' }
  expect(changes(after)).toEqual(['publicUrl', 'store'])
})
