import type { TestProject } from 'vitest/node'

/** Nobody looks back at what a changed program has logged, and it would be gigabytes. */
export function setup(project: TestProject): void {
  project.provide('journal', '')
}
