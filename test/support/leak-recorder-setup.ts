import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    leakFolder: string
  }
}

let folder: Promise<string> | undefined

/** Creates one folder for the whole run, where tests record what was logged and which secrets they used. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  folder ??= mkdtemp(join(tmpdir(), 'trimint-leaks-'))
  const path = await folder
  project.provide('leakFolder', path)
  return () => rm(path, { recursive: true, force: true })
}
