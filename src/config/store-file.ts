import { lstatSync, readFileSync, type Stats, statSync } from 'node:fs'
import { checkCertificateChain } from './pem.ts'
import { sqlitePath, storeCaPath } from './store-url.ts'

/** Returns why a file that the URL of a store names cannot be used, or undefined. */
export function storeFileIssue(url: string): string | undefined {
  const caPath = storeCaPath(url)
  if (caPath === undefined) return sqliteFileIssue(url)
  const issue = caFileIssue(caPath)
  return issue && `${url.startsWith('redis') ? 'ca' : 'sslrootcert'}: ${issue}`
}

function caFileIssue(path: string): string | undefined {
  try {
    return checkCertificateChain(readFileSync(path, 'utf8'))
  } catch (error) {
    return `a file that cannot be read (${(error as NodeJS.ErrnoException).code}); expected certificates in PEM form`
  }
}

/**
 * Returns why the file of an SQLite store cannot be used, or undefined. SQLite would create files beside a device and
 * change its mode, so this has to be known before the store is opened.
 */
function sqliteFileIssue(url: string): string | undefined {
  const path = sqlitePath(url)
  if (path === undefined) return undefined
  try {
    const stats = statSync(path)
    return stats.isFile() ? undefined : `path of ${describeKind(stats)}; expected a regular file, or a path without one`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT')
      return `path that cannot be followed (${code}); expected a regular file, or a path without one`
    return isLink(path) ? 'path of a link to nothing; expected a regular file, or a path without one' : undefined
  }
}

function describeKind(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder'
  if (stats.isSocket()) return 'a socket'
  return stats.isFIFO() ? 'a named pipe' : 'a device'
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false
}
