import { existsSync } from 'node:fs'
import { copyFile, mkdir, open, rename, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inject } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')

/** The words of `npm start` after `node`. */
export const SOURCES = ['--require', join(ROOT, 'src/preload.cjs'), join(ROOT, 'src/main.ts')]

let building: Promise<readonly string[]> | undefined

/**
 * Returns what tests pass to Node to start the program: the bundle of the package, built once for the whole run. It starts
 * with a quarter less processor time than the sources. Runs of `test/mutation` start the sources, because a bundle
 * would not have their mutants.
 */
export function programWords(): Promise<readonly string[]> {
  const folder = inject('programFolder')
  building ??= folder === '' ? Promise.resolve(SOURCES) : prepareOnce(folder)
  return building
}

/** Several workers of Vitest may come here at the same time: the first one builds. */
async function prepareOnce(folder: string): Promise<readonly string[]> {
  const program = join(folder, 'program')
  const isFirst = await open(join(folder, 'lock'), 'wx').then(
    (lock) => lock.close().then(() => true),
    () => false,
  )
  if (isFirst) {
    const draft = join(folder, 'draft')
    await prepare(draft)
    await rename(draft, program)
  }
  while (!existsSync(program)) await sleep(50)
  return ['--require', join(program, 'dist/preload.cjs'), join(program, 'dist/main.js')]
}

/** Lays out a package: `dist`, the files that it reads beside it, and its dependencies. */
async function prepare(folder: string): Promise<void> {
  await mkdir(folder)
  await copyFile(join(ROOT, 'package.json'), join(folder, 'package.json'))
  for (const part of ['openapi', 'src']) await symlink(join(ROOT, part), join(folder, part))
  await symlink(join(ROOT, 'node_modules'), join(folder, '../node_modules'))
  // Loaded by one worker alone, because its native part takes a while.
  const { build } = await import('rolldown')
  const { default: bundle } = await import('../../rolldown.config.ts')
  await build({ ...bundle, cwd: ROOT, output: { ...bundle.output, dir: join(folder, 'dist') }, logLevel: 'warn' })
}
