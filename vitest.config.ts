import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    globalSetup: ['test/support/journal-setup.ts'],
    testTimeout: 20_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'trimint',
          include: ['test/**/*.test.ts'],
          exclude: ['test/run/**', 'test/mutation/**'],
          sequence: { groupOrder: 1 },
        },
      },
      // Looks back at everything the others made the service say.
      { extends: true, test: { name: 'run', include: ['test/run/**/*.test.ts'], sequence: { groupOrder: 2 } } },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      // What only starts a process: test/system runs it as one, where coverage cannot look.
      exclude: [
        'src/main.ts',
        'src/process.ts',
        'src/hangup.ts',
        'src/optimiser.ts',
        'src/workers/{start,parent,crew,member,link,messages}.ts',
        'src/tracing.ts',
        'src/cli/main.ts',
      ],
      thresholds: { lines: 95, 'src/core/**': { lines: 100, branches: 100, functions: 100 } },
      reporter: ['text', 'json-summary'],
    },
  },
})
