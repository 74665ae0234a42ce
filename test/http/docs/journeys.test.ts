import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import type { Trimint } from '../../../src/app/trimint.ts'
import { readBlocks } from '../../support/markdown.ts'
import { hasProgram } from '../../support/programs.ts'
import { runCommands, runPrograms } from '../../support/recipes.ts'

// Runs the journeys of one page: curl against a demo of this process, TypeScript in a process.

const blocks = readBlocks('docs/journeys.md')
const journeys = blocks.filter(({ language }) => language === 'sh')

let trimint: Trimint
beforeAll(async () => {
  trimint = await startTrimint()
})
afterAll(() => trimint.close({ timeoutMs: 0 }))
beforeEach(() => trimint.reset())

test.skipIf(!hasProgram('curl')).each(journeys)(
  'S2, S7, S12, S15: the curl commands of "$heading" print what they say',
  { timeout: 60_000 },
  ({ code }) => runCommands(code, trimint.url),
)

test('shows both vendors and the outcomes', () => {
  expect(journeys.map(({ heading }) => heading)).toEqual(['BioID BWS', 'GBG IDscan', 'Choose outcomes'])
})

test('S15: the TypeScript program runs without an error', { timeout: 120_000 }, () =>
  runPrograms(blocks.filter(({ language }) => language === 'ts').map(({ code }) => code)),
)
