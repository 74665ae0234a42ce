import { matchesGlob, relative } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const tests = JSON.parse(process.env.TRIMINT_MUTATION_TESTS ?? '[]') as string[]
const timed = process.env.TRIMINT_MUTATION_TIMED === 'true'
const preload = JSON.parse(process.env.TRIMINT_MUTATION_PRELOAD ?? '[]') as string[]

/** Runs the files in the group's order: the first test that fails ends the run. */
class InOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeOf = ({ moduleId }: TestSpecification) =>
      tests.findIndex((pattern) => matchesGlob(relative(process.cwd(), moduleId), pattern))
    return files.toSorted((left, right) => placeOf(left) - placeOf(right))
  }
}

/** The tests of one group (run.ts), without projects: Stryker's runner identifies tests by file and name only. */
export default defineConfig({
  test: {
    globalSetup: ['test/mutation/no-leak-recorder.ts', 'test/support/run-folder-setup.ts'],
    setupFiles: ['test/mutation/quiet.ts', 'test/mutation/active-mutant.ts', ...preload],
    // Ends tests that wait for ever. Groups without quiet.ts run on a busy machine, so they get longer.
    testTimeout: timed ? 20_000 : 120_000,
    expect: { poll: { timeout: 5_000, interval: 20 } },
    include: tests,
    sequence: { sequencer: InOrder },
  },
})
