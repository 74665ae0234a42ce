import { resolve } from 'node:path'
import { parsePostgresUrl } from '../core/ports/postgres-url.ts'
import { isRedisUrl, parseRedisUrl } from '../core/ports/redis-url.ts'

export const IN_MEMORY_STORE = 'sqlite::memory:'

/** What `store` may be. */
export const STORE_FORMS =
  'sqlite:path, "sqlite::memory:", redis://host:6379/0, redis+sentinel://h1:26379,h2:26379,h3:26379/mymaster, redis+cluster://h1:6379,h2:6379 (rediss for TLS; optional ?wait=1, ?ca=/path.pem), or postgres://user:password@host:5432/database'

const SQLITE = 'sqlite:'

/** Returns why a text is not the URL of a store, or undefined. Never repeats the text: it may hold a password. */
export function storeUrlIssue(text: string): string | undefined {
  const failure = findFailure(text)
  return failure && `${failure}; expected ${STORE_FORMS}`
}

function findFailure(text: string): string | undefined {
  if (text !== text.trim()) return 'blanks around the URL'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are rejected
  if (/[\u0000-\u001f\u007f]/.test(text)) return 'control character in the URL'
  if (text.startsWith(SQLITE)) return text === IN_MEMORY_STORE ? undefined : findPathFailure(text.slice(SQLITE.length))
  if (isPostgres(text)) {
    const address = parsePostgresUrl(text)
    return typeof address === 'string' ? address : undefined
  }
  if (!isRedisUrl(text)) return 'invalid value'
  const address = parseRedisUrl(text)
  return typeof address === 'string' ? address : undefined
}

function findPathFailure(path: string): string | undefined {
  if (path === '') return 'no path'
  if (path.startsWith(':')) return 'unknown name that starts with a colon'
  if (path.startsWith('file:')) return 'SQLite URI (file:)'
  if (path.startsWith('~')) return 'path that starts with ~, which only a shell expands'
  if (/^\/\/[^/]/.test(path)) return 'host name in the path'
  if (path.includes('?')) return 'parameters behind a question mark'
  return path.endsWith('/') ? 'path of a folder' : undefined
}

/** Returns a store's URL with a relative path resolved against a folder: that of SQLite's file, or of certificates. */
export function resolveStoreUrl(url: string, folder: string): string {
  const path = sqlitePath(url)
  if (path !== undefined) return `${SQLITE}${resolve(folder, path)}`
  const caPath = storeCaPath(url)
  if (caPath === undefined) return url
  const resolved = resolve(folder, caPath).replace(/[%?&#+]/g, encodeURIComponent)
  return url.replace(/([?&](?:ca|sslrootcert)=)[^&]*/, (_, name: string) => name + resolved)
}

/** Returns the path of the certificates in the URL of a Redis or PostgreSQL; undefined without one. */
export function storeCaPath(url: string): string | undefined {
  if (isPostgres(url)) {
    const address = parsePostgresUrl(url)
    return typeof address === 'string' ? undefined : address.tls?.rootCertificates
  }
  const address = isRedisUrl(url) ? parseRedisUrl(url) : ''
  return typeof address === 'string' ? undefined : address.caPath
}

function isPostgres(url: string): boolean {
  return /^postgres(ql)?:\/\//.test(url)
}

/** Returns the path of an SQLite file; undefined for other stores. */
export function sqlitePath(url: string): string | undefined {
  return url.startsWith(SQLITE) && url !== IN_MEMORY_STORE ? url.slice(SQLITE.length) : undefined
}

/** Returns a store's URL for people to read, without credentials. */
export function redactStoreUrl(url: string): string {
  return url.replace(/\/\/.*@/, '//…@')
}
