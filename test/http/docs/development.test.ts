import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import type { Trimint } from '../../../src/app/trimint.ts'
import { trackSecretsIn } from '../../support/leak-recorder.ts'
import { readBlocks } from '../../support/markdown.ts'
import { hasProgram } from '../../support/programs.ts'

// Runs the recipes of one page: curl against a demo of this process, TypeScript in a process.

const PAGE = 'docs/development.md'
const blocks = readBlocks('docs/development.md')
const recipes = blocks.filter(({ language }) => language === 'sh')
const programs = blocks.filter(({ language }) => language === 'ts')
const MAX_LINES = 12

let trimint: Trimint
beforeAll(async () => {
  trimint = await startTrimint()
})
afterAll(() => trimint.close({ timeoutMs: 0 }))
beforeEach(() => trimint.reset())

test('L23: has six recipes of about ten lines, each in curl and in TypeScript', () => {
  expect(recipes.map(({ heading }) => heading)).toEqual(programs.map(({ heading }) => heading))
  expect(recipes).toHaveLength(6)
  const lengths = [...recipes, ...programs].map(({ code }) => code.split('\n').length)
  expect(Math.max(...lengths)).toBeLessThanOrEqual(MAX_LINES)
})

test.skipIf(!hasProgram('curl')).each(recipes)(
  `L2: the curl commands of "$heading" in ${PAGE} print what they say`,
  { timeout: 60_000 },
  async ({ code }) => {
    const commands = code.replaceAll('http://127.0.0.1:8080', trimint.url)
    const { stdout } = await promisify(execFile)('bash', ['-e', '-o', 'pipefail', '-c', commands], { timeout: 50_000 })
    trackSecretsIn(stdout)
    let rest = stdout
    for (const [, printed = ''] of code.matchAll(/# prints (.+)$/gm)) {
      expect(rest).toContain(printed)
      rest = rest.slice(rest.indexOf(printed) + printed.length)
    }
  },
)

test(`L23: the TypeScript programs of ${PAGE} run without an error`, { timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-recipes-'))
  try {
    const entry = resolve('src/index.ts')
    const files = programs.map(({ code }, index) => {
      writeFileSync(join(folder, `recipe-${index}.ts`), code.replace("from 'trimint'", `from '${entry}'`))
      return `await import('./recipe-${index}.ts')`
    })
    writeFileSync(join(folder, 'main.mjs'), `${files.join('\n')}\nconsole.log('done')\n`)
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'main.mjs')], { timeout: 110_000 })
    expect(stdout).toBe('done\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
