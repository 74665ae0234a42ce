// Makes mutants in sources of threads known to Stryker and active there.

import { globSync, readFileSync } from 'node:fs'

interface Stryker {
  readonly activeMutant?: string
  mutantCoverage?: Record<'static' | 'perTest', Record<string, unknown>>
}

declare global {
  // Stryker's own name. Its setup file runs before this one.
  var __stryker__: Stryker | undefined
}

/** How Stryker's code asks for a mutant. */
const MUTANT = /stryMutAct_\w+\("([0-9]+)"\)/g

const sources = JSON.parse(process.env.TRIMINT_MUTATION_THREADS ?? '[]') as string[]
const stryker = globalThis.__stryker__ ?? {}

// A thread starts with a copy of the environment, which is the other place where Stryker's code looks.
if (stryker.activeMutant === undefined) delete process.env.__STRYKER_ACTIVE_MUTANT__
else process.env.__STRYKER_ACTIVE_MUTANT__ = stryker.activeMutant

// Stryker does not see what a thread covers. A mutant that counts as covered at import meets every test.
stryker.mutantCoverage ??= { static: {}, perTest: {} }
for (const source of globSync(sources)) {
  for (const [, id = ''] of readFileSync(source, 'utf8').matchAll(MUTANT)) stryker.mutantCoverage.static[id] = 1
}
