import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    programFolder: string
  }
}

let folder: Promise<string> | undefined

/** Creates one folder for the whole run, into which the first test that starts a process builds the program. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  folder ??= mkdtemp(join(tmpdir(), 'trimint-program-'))
  const path = await folder
  project.provide('programFolder', path)
  return () => rm(path, { recursive: true, force: true })
}
