import { copyFile, mkdir, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { hasRunFolder, makeOnce } from './run-folder.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** The programs that tests start, and their sources. */
const PROGRAMS = { main: 'src/main.ts', 'small-log-buffer': 'test/support/small-log-buffer.ts' }
type Program = keyof typeof PROGRAMS

const sourcesOf = (program: Program): readonly string[] => [
  '--require',
  join(ROOT, 'src/preload.cjs'),
  join(ROOT, PROGRAMS[program]),
]

/** The words of `npm start` after `node`. */
export const SOURCES = sourcesOf('main')

/** In test/mutation, where a bundle would be without the mutant. */
const isMutated = process.env.TRIMINT_MUTATION_TESTS !== undefined

/**
 * Returns what tests pass to Node to start a program: a bundle as the package has it, built once for the whole run. It
 * starts with a quarter less processor time than the sources. Benchmarks and test/mutation start the sources.
 */
export async function programWords(program: Program = 'main'): Promise<readonly string[]> {
  if (!hasRunFolder() || isMutated) return sourcesOf(program)
  const dist = join(await makeOnce('package', layOutPackage), 'dist')
  return ['--require', join(dist, 'preload.cjs'), join(dist, `${program}.js`)]
}

/** Lays out a package: `dist`, the files that it reads beside it, and its dependencies. */
async function layOutPackage(folder: string): Promise<void> {
  await mkdir(folder)
  await copyFile(join(ROOT, 'package.json'), join(folder, 'package.json'))
  for (const part of ['openapi', 'src']) await symlink(join(ROOT, part), join(folder, part))
  await symlink(join(ROOT, 'node_modules'), join(folder, '../node_modules'))
  // Loaded by one worker alone, because its native part takes a while.
  const { build } = await import('rolldown')
  const { default: bundle } = await import('../../rolldown.config.ts')
  await build({
    ...bundle,
    cwd: ROOT,
    input: { ...(bundle.input as Readonly<Record<string, string>>), ...PROGRAMS },
    output: { ...bundle.output, dir: join(folder, 'dist') },
    logLevel: 'warn',
  })
}
