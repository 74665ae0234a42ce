import { matchesGlob, relative } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const tests = JSON.parse(process.env.TRIMINT_MUTATION_TESTS ?? '[]') as string[]
const timed = process.env.TRIMINT_MUTATION_TIMED === 'true'
const preload = JSON.parse(process.env.TRIMINT_MUTATION_PRELOAD ?? '[]') as string[]

/** As the group has them: the first test that fails ends the run. */
class InOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeOf = ({ moduleId }: TestSpecification) =>
      tests.findIndex((pattern) => matchesGlob(relative(process.cwd(), moduleId), pattern))
    return files.toSorted((left, right) => placeOf(left) - placeOf(right))
  }
}

/** The tests of the group that is run (run.ts), without projects: Stryker's runner knows tests by file and name alone. */
export default defineConfig({
  test: {
    globalSetup: ['test/mutation/no-journal.ts'],
    setupFiles: ['test/mutation/quiet.ts', ...preload],
    // What waits for something that never comes ends by it. Where nobody waits for a quiet machine, it may take long to come.
    testTimeout: timed ? 20_000 : 120_000,
    include: tests,
    sequence: { sequencer: InOrder },
  },
})
