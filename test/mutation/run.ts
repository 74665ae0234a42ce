// Mutation testing with Stryker: changes the sources in small ways, one at a time, and checks that a test fails.
//
//   node test/mutation/run.ts                                 every group, compared with test/mutation/survivors.md
//   node test/mutation/run.ts core                            one group
//   node test/mutation/run.ts core src/core/crypto/jws.ts     one file of a group
//
// Results are kept in coverage/mutation: a second run repeats only what changed.

import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { GROUPS, type Group } from './groups.ts'
import { report } from './report.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const RESULTS = 'coverage/mutation'

/** Processes that run tests: more than a small machine has cores, since a mutant that hangs only waits. */
const CONCURRENCY = 5

const [name, ...files] = process.argv.slice(2)
const chosen = Object.entries(GROUPS).filter(([group]) => name === undefined || group === name)
if (chosen.length === 0) throw new Error(`${name}: unknown group; expected one of ${Object.keys(GROUPS).join(', ')}`)
process.chdir(ROOT)
const patterns = chosen.flatMap(([, { mutate, tests, preload = [] }]) => [...mutate, ...tests, ...preload])
const stale = patterns.filter((pattern) => !pattern.startsWith('!') && globSync(pattern).length === 0)
if (stale.length > 0) throw new Error(`groups.ts names files that do not exist: ${stale.join(', ')}`)
mkdirSync(RESULTS, { recursive: true })
for (const [group, parts] of chosen) runStryker(group, parts)
process.exitCode = report(chosen.map(([group]) => reportOf(group)))

function runStryker(
  group: string,
  { mutate, tests, without = [], timed = false, threads = {}, preload = [] }: Group,
): void {
  const configuration = join(RESULTS, `${group}.config.json`)
  writeFileSync(
    configuration,
    JSON.stringify({
      testRunner: 'vitest',
      // Coverage tells which tests reach a mutant; following imports takes longer and tells less.
      vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
      mutate: files.length > 0 ? files : mutate,
      coverageAnalysis: 'perTest',
      concurrency: CONCURRENCY,
      incremental: true,
      incrementalFile: join(RESULTS, `${group}.incremental.json`),
      reporters: ['json', 'progress-append-only'],
      jsonReporter: { fileName: reportOf(group) },
      tempDirName: '.stryker-tmp',
      // Includes the wait for a quiet machine (quiet.ts). A test's own time-out ends a mutant that waits; this one ends
      // an endless loop.
      timeoutMS: 1_200_000,
      dryRunTimeoutMinutes: 30,
      ignorePatterns: ['/coverage', '/data', '/docs'],
      // Stryker rewrites tsconfig.json through TypeScript's API, which version 7 does not have.
      tsconfigFile: 'none',
    }),
  )
  const { status } = spawnSync(process.execPath, ['test/mutation/node_modules/.bin/stryker', 'run', configuration], {
    stdio: 'inherit',
    env: {
      ...process.env,
      TRIMINT_MUTATION_TESTS: JSON.stringify(tests),
      TRIMINT_MUTATION_TIMED: String(timed),
      TRIMINT_MUTATION_THREADS: JSON.stringify(threads),
      TRIMINT_MUTATION_PRELOAD: JSON.stringify(preload),
      TRIMINT_TEST_WITHOUT: without.join(','),
    },
  })
  if (status !== 0) throw new Error(`Stryker ended with ${status}`)
}

function reportOf(group: string): string {
  return join(RESULTS, `${group}.json`)
}
