import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    runFolder: string
  }
}

let folder: Promise<string> | undefined

/** Creates a folder for what is made once for the whole run: see run-folder.ts. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  folder ??= mkdtemp(join(tmpdir(), 'trimint-run-'))
  const path = await folder
  project.provide('runFolder', path)
  // A process that has just been killed may still write compiled code.
  return () => rm(path, { recursive: true, force: true, maxRetries: 5 })
}
