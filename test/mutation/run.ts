// Changes the sources in small ways, one at a time, and sees whether a test notices (mutation testing, with Stryker).
//
//   node test/mutation/run.ts                          every group, then what test/mutation/survivors.md says held against it
//   node test/mutation/run.ts core                     one group
//   node test/mutation/run.ts core src/core/crypto/jws.ts     one file of a group
//
// What was found is kept in coverage/mutation, so a second run repeats only what has changed since.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { GROUPS, type Group } from './groups.ts'
import { report } from './report.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const RESULTS = 'coverage/mutation'

/** Processes that run tests. More than a small machine has processors: what hangs or meets a lock only waits. */
const CONCURRENCY = 5

const [name, ...files] = process.argv.slice(2)
const chosen = Object.entries(GROUPS).filter(([group]) => name === undefined || group === name)
if (chosen.length === 0) throw new Error(`${name} is none of ${Object.keys(GROUPS).join(', ')}`)
process.chdir(ROOT)
mkdirSync(RESULTS, { recursive: true })
for (const [group, parts] of chosen) runStryker(group, parts)
process.exitCode = report(chosen.map(([group]) => reportOf(group)))

function runStryker(group: string, { mutate, tests, without = [], timed = false, preload = [] }: Group): void {
  const configuration = join(RESULTS, `${group}.config.json`)
  writeFileSync(
    configuration,
    JSON.stringify({
      testRunner: 'vitest',
      // Which tests reach a mutant, coverage says; following imports as well would only take time.
      vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
      mutate: files.length > 0 ? files : mutate,
      coverageAnalysis: 'perTest',
      concurrency: CONCURRENCY,
      incremental: true,
      incrementalFile: join(RESULTS, `${group}.incremental.json`),
      reporters: ['json', 'progress-append-only'],
      jsonReporter: { fileName: reportOf(group) },
      tempDirName: '.stryker-tmp',
      // Generous, as waiting for a quiet machine (quiet.ts) counts too. What hangs is ended by its test, and what goes round in circles
      // by Stryker, which counts.
      timeoutMS: 1_200_000,
      dryRunTimeoutMinutes: 30,
      ignorePatterns: ['/coverage', '/data', '/docs'],
      // It would rewrite tsconfig.json with the programming interface of TypeScript, which version 7 no longer has.
      tsconfigFile: 'none',
    }),
  )
  const { status } = spawnSync(process.execPath, ['test/mutation/node_modules/.bin/stryker', 'run', configuration], {
    stdio: 'inherit',
    env: {
      ...process.env,
      TRIMINT_MUTATION_TESTS: JSON.stringify(tests),
      TRIMINT_MUTATION_TIMED: String(timed),
      TRIMINT_MUTATION_PRELOAD: JSON.stringify(preload),
      TRIMINT_TEST_WITHOUT: without.join(','),
    },
  })
  if (status !== 0) throw new Error(`Stryker ended with ${status}`)
}

function reportOf(group: string): string {
  return join(RESULTS, `${group}.json`)
}
