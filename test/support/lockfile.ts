import { readFileSync } from 'node:fs'

/** The fields of a package in a lockfile (npm, lockfileVersion 3) that are checked. */
export interface Locked {
  readonly version?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly license?: string
  readonly dev?: boolean
  readonly link?: boolean
  readonly inBundle?: boolean
  readonly hasInstallScript?: boolean
}

/** Packages by path. The empty path is the project itself. */
export type Lockfile = Readonly<Record<string, Locked>>

export function readLockfile(file: string): Lockfile {
  return (JSON.parse(readFileSync(file, 'utf8')) as { packages: Lockfile }).packages
}

const REGISTRY = 'https://registry.npmjs.org/'

/**
 * Returns one line for each fault of a lockfile.
 *
 * @param scripts names of packages that may run install scripts.
 * @param workspaces folders of this repository that are packages.
 */
export function faultsOf(lockfile: Lockfile, scripts: readonly string[], workspaces: readonly string[] = []): string[] {
  const isOwn = (path: string, { link, resolved = '' }: Locked): boolean =>
    ['', ...workspaces].includes(path) || (link === true && workspaces.includes(resolved))
  return Object.entries(lockfile).flatMap(([path, locked]) =>
    isOwn(path, locked) ? [] : faultsOfPackage(path, locked, scripts).map((fault) => `${path}: ${fault}`),
  )
}

function faultsOfPackage(path: string, locked: Locked, scripts: readonly string[]): string[] {
  const { resolved, integrity, link, inBundle, hasInstallScript } = locked
  const faults: string[] = []
  if (link || inBundle) faults.push('not from the registry')
  // Without `resolved`, npm uses the configured registry.
  if (resolved !== undefined && !resolved.startsWith(REGISTRY)) faults.push(`resolved from ${resolved}`)
  // Require exactly one hash: of several, npm uses the strongest that it knows.
  if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '')) faults.push(`integrity ${integrity}`)
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  if (hasInstallScript && !scripts.includes(name)) faults.push('an install script that allowScripts does not name')
  return faults
}
