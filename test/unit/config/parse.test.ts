import { expect, test } from 'vitest'
import { createDemoConfiguration } from '../../../src/config/demo-config.ts'
import { parseConfiguration } from '../../../src/config/load.ts'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import { KEY } from '../../support/service.ts'
import { FROZEN_TIME } from '../../support/time.ts'

const MINIMAL: ConfigurationInput = { publicUrl: 'https://t.example.com', keys: [{ secret: KEY }] }
const parse = (input: ConfigurationInput, production = false) =>
  parseConfiguration(input, { now: FROZEN_TIME, production })

test('returns a configuration with its defaults, and leaves the store as it is written', () => {
  expect(parse(MINIMAL)).toMatchObject({
    configuration: { store: 'sqlite:./data/trimint.db', bws: false, docs: true },
    warnings: [],
  })
})

test('replaces neither ${NAME} nor file:', () => {
  const resourceServers = [{ id: '${NAME}', secret: 'plain:file:x' }]
  expect(parse({ ...MINIMAL, resourceServers })).toMatchObject({
    configuration: { resourceServers: [{ id: '${NAME}' }] },
  })
})

test('reports every issue with its path, and without a file', () => {
  expect(parse({ publicUrl: 'ftp://x', keys: [{ secret: 'short' }] })).toEqual({
    issues: [
      { path: 'publicUrl', message: expect.stringMatching(/^invalid value; expected an absolute http/) },
      { path: 'keys[0].secret', message: expect.stringMatching(/^invalid value; expected base64url/) },
    ],
  })
})

test('reports keys that have all expired', () => {
  expect(parse({ ...MINIMAL, keys: [{ secret: KEY, notAfter: '2026-01-01' }] })).toMatchObject({
    issues: [{ path: 'keys', message: expect.stringMatching(/^every key has expired; expected /) }],
  })
})

test('warns about the secrets of the demo, and rejects them in production', () => {
  const demo = createDemoConfiguration({ publicUrl: 'http://127.0.0.1:8080', key: KEY })
  const paths = [
    'bws.apps[0].secret',
    'idscan.accounts[0].password',
    'nevisfido.clients[0].secret',
    'resourceServers[0].secret',
  ]
  expect(parse(demo)).toMatchObject({
    configuration: { publicUrl: demo.publicUrl },
    warnings: paths.map((path) => ({ path })),
  })
  const forbidden = [...paths, 'control', 'bws.standIns', 'idscan.standIns']
  expect(parse(demo, true)).toMatchObject({ issues: forbidden.map((path) => ({ path })) })
})
