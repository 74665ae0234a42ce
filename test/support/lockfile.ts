import { readFileSync } from 'node:fs'

/** A package in a lockfile (npm, lockfileVersion 3), as far as it matters here. */
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

/** By its path; the empty one is the package itself. */
export type Lockfile = Readonly<Record<string, Locked>>

export function readLockfile(file: string): Lockfile {
  return (JSON.parse(readFileSync(file, 'utf8')) as { packages: Lockfile }).packages
}

const REGISTRY = 'https://registry.npmjs.org/'

/** What is wrong with a lockfile, a line for each fault. @param scripts names of packages whose install scripts may run. */
export function faultsOf(lockfile: Lockfile, scripts: readonly string[]): string[] {
  return Object.entries(lockfile).flatMap(([path, locked]) =>
    path === '' ? [] : faultsOfPackage(path, locked, scripts).map((fault) => `${path}: ${fault}`),
  )
}

function faultsOfPackage(path: string, locked: Locked, scripts: readonly string[]): string[] {
  const { resolved, integrity, link, inBundle, hasInstallScript } = locked
  const faults: string[] = []
  if (link || inBundle) faults.push('not from the registry')
  // Without an address, it is the configured registry that is asked.
  if (resolved !== undefined && !resolved.startsWith(REGISTRY)) faults.push(`resolved from ${resolved}`)
  // Exactly one hash: of several, npm takes the best that it knows.
  if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '')) faults.push(`integrity ${integrity}`)
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  if (hasInstallScript && !scripts.includes(name)) faults.push('an install script that allowScripts does not name')
  return faults
}
