import { existsSync, globSync, readFileSync, statfsSync } from 'node:fs'
import { resolve } from 'node:path'
import { defineConfig } from 'vitest/config'

// Threads and processes that tests start would strip the types of every source file again.
process.env.NODE_COMPILE_CACHE ??= resolve('node_modules/.cache/trimint')

// Tests create thousands of files and directories, which costs a tenth of the processor time on a disk.
const MEMORY = '/dev/shm'
const MIN_FREE_BYTES = 2 * 2 ** 30
const isRoomy = (folder: string): boolean => {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize > MIN_FREE_BYTES
}
if (existsSync(MEMORY) && isRoomy(MEMORY)) process.env.TMPDIR ??= MEMORY

const FULL = process.env.TRIMINT_TEST_FULL === '1'

/** Test files that replace a module need a module registry that no other file has filled. */
const mocking = globSync('test/**/*.test.ts').filter((file) => readFileSync(file, 'utf8').includes('vi.mock('))

const groups = ['unit', 'http', 'system', ...(FULL ? ['long'] : [])]

export default defineConfig({
  test: {
    globalSetup: ['test/support/leak-recorder-setup.ts', 'test/support/run-folder-setup.ts'],
    // Tests must also pass on a busy machine.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 30_000, interval: 20 } },
    // Most tests wait for timers and processes. The default, one worker fewer than cores, leaves a small machine idle; each
    // worker imports the service again.
    maxWorkers: 6,
    projects: [
      {
        extends: true,
        test: {
          name: 'tests',
          include: groups.map((group) => `test/${group}/**/*.test.ts`),
          exclude: mocking,
          // Importing the service again for every file takes as much processor time as the tests themselves.
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      { extends: true, test: { name: 'mocks', include: mocking, sequence: { groupOrder: 1 } } },
      // Searches everything that the other groups made the service write.
      { extends: true, test: { name: 'run', include: ['test/run/**/*.test.ts'], sequence: { groupOrder: 2 } } },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      // What only starts a process: test/system runs it as one, where coverage cannot look.
      exclude: ['src/main.ts', 'src/cli/run-process.ts', 'src/process/**'],
      thresholds: { lines: 95, 'src/core/**': { lines: 100, branches: 100, functions: 100 } },
      reporter: ['text', 'json-summary'],
    },
  },
})
