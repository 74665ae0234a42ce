import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import packageJson from '../../package.json' with { type: 'json' }

const run = promisify(execFile)
const MODULES = resolve('node_modules')

export interface InstalledPackage extends AsyncDisposable {
  /** A project that has installed the package, with the files of examples/testing. */
  readonly folder: string
  /** The files of the package, relative to its folder. */
  readonly files: readonly string[]
  /** Runs a program of the project. Rejects if it does not exit with 0. */
  run(
    program: string,
    words: readonly string[],
    variables?: Readonly<Record<string, string>>,
  ): Promise<{ stdout: string; stderr: string }>
}

/**
 * Packs the package and installs it into an empty folder. Its dependencies are links, which costs less than an
 * installation by npm and needs no network. Optional packages are missing. `.ci/package` installs with npm.
 *
 * @param others packages that the project has besides.
 */
export async function installPackage(others: readonly string[]): Promise<InstalledPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-package-'))
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { maxBuffer: 16 * 1024 * 1024 })
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as [
    { filename: string; files: readonly { path: string }[] },
  ]
  await cp('examples/testing', folder, { recursive: true })
  const modules = join(folder, 'node_modules')
  const own = join(modules, 'trimint')
  await mkdir(own, { recursive: true })
  await run('tar', ['-xzf', join(folder, filename), '--strip-components=1', '-C', own])
  for (const name of [...Object.keys(packageJson.dependencies), ...others]) {
    await mkdir(dirname(join(modules, name)), { recursive: true })
    await symlink(join(MODULES, name), join(modules, name))
  }
  await mkdir(join(modules, '.bin'))
  for (const name of ['trimint', ...others]) await linkPrograms(modules, name)

  const env = {
    PATH: `${join(modules, '.bin')}:${dirname(process.execPath)}:${process.env.PATH}`,
    HOME: process.env.HOME,
    // A project's own settings, not those of the npm script that runs this test.
    DRAIN_DELAY: '0s',
  }
  return {
    folder,
    files: files.map(({ path }) => path),
    run: (program, words, variables) => run(program, [...words], { cwd: folder, env: { ...env, ...variables } }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function linkPrograms(modules: string, name: string): Promise<void> {
  const { bin = {} } = JSON.parse(await readFile(join(modules, name, 'package.json'), 'utf8')) as {
    bin?: string | Readonly<Record<string, string>>
  }
  const programs = typeof bin === 'string' ? { [name]: bin } : bin
  for (const [program, file] of Object.entries(programs)) {
    await symlink(join('..', name, file), join(modules, '.bin', program))
  }
}

/** Writes a file of the project. */
export async function writeProjectFile({ folder }: InstalledPackage, name: string, text: string): Promise<void> {
  await writeFile(join(folder, name), text)
}
