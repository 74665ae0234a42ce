// Makes mutants in sources of threads known to Stryker and active there.

import { globSync, readFileSync } from 'node:fs'
import { matchesGlob, relative } from 'node:path'
import { afterEach, beforeAll } from 'vitest'
import type { Group } from './groups.ts'

declare global {
  // Stryker's own name. Its setup file runs before this one.
  var __stryker__:
    | {
        readonly activeMutant?: string
        /** The file and the title of the present test of the first run, which collects coverage. */
        readonly currentTestId?: string
        mutantCoverage?: Record<'static' | 'perTest', Record<string, Record<string, number>>>
      }
    | undefined
}

/** How Stryker's code asks for a mutant. */
const MUTANT = /stryMutAct_\w+\("([0-9]+)"\)/g

const threads = JSON.parse(process.env.TRIMINT_MUTATION_THREADS ?? '{}') as NonNullable<Group['threads']>

// A thread starts with a copy of the environment, which is the other place where Stryker's code looks.
beforeAll(() => {
  const active = globalThis.__stryker__?.activeMutant
  if (active === undefined) delete process.env.__STRYKER_ACTIVE_MUTANT__
  else process.env.__STRYKER_ACTIVE_MUTANT__ = active
})

const mutants = Object.entries(threads).map(([source, tests]) => {
  const texts = globSync(source).map((file) => readFileSync(file, 'utf8'))
  return { tests, ids: texts.flatMap((text) => [...text.matchAll(MUTANT)].map(([, id = '']) => id)) }
})

// Stryker does not see what a thread covers.
afterEach(() => {
  const { __stryker__: stryker } = globalThis
  const test = stryker?.currentTestId
  if (stryker === undefined || test === undefined) return
  const file = relative(process.cwd(), test.slice(0, test.indexOf('#')))
  stryker.mutantCoverage ??= { static: {}, perTest: {} }
  stryker.mutantCoverage.perTest[test] ??= {}
  const covered = stryker.mutantCoverage.perTest[test]
  for (const { tests, ids } of mutants) {
    if (tests.some((pattern) => matchesGlob(file, pattern))) for (const id of ids) covered[id] = 1
  }
})
