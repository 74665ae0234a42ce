import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import type { Trimint } from '../../../src/app/trimint.ts'
import { readBlocks } from '../../support/markdown.ts'
import { hasProgram } from '../../support/programs.ts'
import { runCommands, runPrograms } from '../../support/recipes.ts'

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
  ({ code }) => runCommands(code, trimint.url),
)

test(`L23: the TypeScript programs of ${PAGE} run without an error`, { timeout: 120_000 }, () =>
  runPrograms(programs.map(({ code }) => code)),
)
