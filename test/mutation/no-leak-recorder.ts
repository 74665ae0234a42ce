import type { TestProject } from 'vitest/node'

/** Turns the leak recorder off: mutants would log gigabytes, and no test searches them. */
export function setup(project: TestProject): void {
  project.provide('leakFolder', '')
}
