import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { keyPathsOf, readExample } from '../../../docs/generate/example.ts'
import { renderPages } from '../../../docs/generate/pages.ts'
import { pathsOf, readSettings, type Setting } from '../../../docs/generate/settings.ts'
import { environmentSchema } from '../../../src/config/environment.ts'
import { configurationSchema } from '../../../src/config/schema.ts'

test.each([...renderPages()])('%s is current (npm run docs)', (path, text) => {
  expect(readFileSync(path, 'utf8')).toBe(text)
})

describe('the settings of the schema', () => {
  const settings = readSettings(configurationSchema.unwrap())

  test.each([...settings, ...readSettings(environmentSchema)])(
    '$path has a description and a type, inside too',
    (setting) => {
      const lacks = (candidate: Setting): string[] => [
        ...(/\.$/.test(candidate.description) ? [] : [`${candidate.path}: description`]),
        ...(candidate.settings.length > 0 || candidate.type ? [] : [`${candidate.path}: type`]),
        ...candidate.settings.flatMap(lacks),
      ]
      expect(lacks(setting)).toEqual([])
    },
  )

  test('are the keys of trimint.example.yaml, its commented keys included', () => {
    // Lists of secrets are the same everywhere, so the example shows one. Specifications define the keys
    // below these.
    const simplify = (path: string): string =>
      path.replace(/^(nevisfido\.clients|resourceServers)(?=\[\]\.secrets)/, 'bws.apps')
    const isOpaque = (path: string): boolean => /^nevisfido\.(policies|bearer\.jwks)\./.test(path)
    const example = keyPathsOf(readExample(readFileSync('trimint.example.yaml', 'utf8'))).filter(
      (path) => !isOpaque(path),
    )
    const sorted = (paths: readonly string[]): string[] => [...new Set(paths.map(simplify))].toSorted()
    expect(sorted(example)).toEqual(sorted(pathsOf(settings)))
  })
})
