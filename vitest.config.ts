import { defineConfig } from 'vitest/config'

const project = (name: string, groupOrder: number) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], sequence: { groupOrder } },
})

export default defineConfig({
  test: {
    globalSetup: ['test/support/leak-recorder-setup.ts'],
    testTimeout: 20_000,
    // Most tests wait for timers and processes. The default, one worker fewer than cores, leaves a small machine idle.
    maxWorkers: 4,
    // The last group searches everything that the others made the service write.
    projects: [project('unit', 1), project('http', 1), project('system', 1), project('run', 2)],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      // What only starts a process: test/system runs it as one, where coverage cannot look.
      exclude: [
        'src/main.ts',
        'src/app/start-trimint.ts',
        'src/process/**',
        'src/observability/tracing.ts',
        'src/cli/main.ts',
      ],
      thresholds: { lines: 95, 'src/core/**': { lines: 100, branches: 100, functions: 100 } },
      reporter: ['text', 'json-summary'],
    },
  },
})
