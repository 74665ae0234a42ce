import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    journal: string
  }
}

let folder: Promise<string> | undefined

/** One folder for the whole run, where every test writes down what was logged and which secrets it used. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  folder ??= mkdtemp(join(tmpdir(), 'trimint-journal-'))
  const path = await folder
  project.provide('journal', path)
  return () => rm(path, { recursive: true, force: true })
}
