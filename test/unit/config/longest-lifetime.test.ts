import { expect, test } from 'vitest'
import { longestLifetime } from '../../../src/config/longest-lifetime.ts'
import { type ConfigurationInput, configurationSchema } from '../../../src/config/schema.ts'
import { OPEN } from '../../support/nevisfido.ts'
import { APP, KEY } from '../../support/service.ts'

const cases: [what: string, configuration: Partial<ConfigurationInput>, seconds: number][] = [
  ['no contract', {}, 0],
  ['opaque tokens alone', { nevisfido: { ...OPEN, tokenLifetime: '1d' } }, 0],
  ['BWS', { bws: { apps: [APP] } }, 600],
  ['BWS with another lifetime', { bws: { lifetime: '10h', apps: [APP] } }, 36_000],
  ['BWS without an app', { bws: { lifetime: '10h', apps: [] } }, 0],
  ['one app with a longer lifetime', { bws: { apps: [APP, { ...APP, id: 'app-2', lifetime: '2h' }] } }, 7_200],
  ['only apps with shorter lifetimes', { bws: { lifetime: '10h', apps: [{ ...APP, lifetime: '1m' }] } }, 60],
  ['IDscan', { idscan: { accounts: [] } }, 36_000],
  ['BWS and IDscan', { bws: { apps: [{ ...APP, lifetime: '366d' }] }, idscan: { accounts: [] } }, 31_622_400],
]

test.each(cases)('returns the longest lifetime in seconds: %s', (_what, configuration, seconds) => {
  const base = { publicUrl: 'https://tokens.example.com', keys: [{ secret: KEY }] }
  expect(longestLifetime(configurationSchema.parse({ ...base, ...configuration }))).toBe(seconds)
})
