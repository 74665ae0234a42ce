import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { parsePostgresUrl } from '../core/ports/postgres-url.ts'

export const IN_MEMORY_STORE = 'sqlite::memory:'

/** What `store` may be. */
export const STORE_FORMS =
  'sqlite:path, "sqlite::memory:", redis://host:6379/0, rediss://host:6379/0 with an optional ?ca=/path.pem, or postgres://user:password@host:5432/database'

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
  return /^rediss?:\/\//.test(text) ? findRedisFailure(text) : 'invalid value'
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

function findRedisFailure(text: string): string | undefined {
  if (text.includes('#')) return 'number sign (a password writes # as %23)'
  const { server, parameters } = splitRedisUrl(text)
  if (parameters !== undefined) {
    if (!/^ca=[^&?]+$/.test(parameters)) return 'parameters behind a question mark other than ca'
    if (!text.startsWith('rediss:')) return 'parameter ca without TLS (rediss:)'
    if (!isDecodable(parameters)) return 'percent sign (a path writes % as %25)'
  }
  return findServerFailure(server)
}

function findServerFailure(text: string): string | undefined {
  if (!URL.canParse(text)) return 'invalid host or port'
  const url = new URL(text)
  if (!isHost(url.hostname)) return 'not exactly one host'
  if (url.port === '0') return 'port 0'
  if (!/^\/?[0-9]{0,4}$/.test(url.pathname)) return 'path that is not the number of a database'
  return [url.username, url.password].every(isDecodable) ? undefined : 'percent sign (a password writes % as %25)'
}

function isHost(hostname: string): boolean {
  if (hostname.startsWith('[')) return isIP(hostname.slice(1, -1)) === 6
  return /^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?$/.test(hostname)
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

function splitRedisUrl(url: string): { readonly server: string; readonly parameters: string | undefined } {
  const at = url.indexOf('?')
  return at === -1
    ? { server: url, parameters: undefined }
    : { server: url.slice(0, at), parameters: url.slice(at + 1) }
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
  const { parameters } = url.startsWith('rediss:') ? splitRedisUrl(url) : {}
  return parameters === undefined ? undefined : decodeURIComponent(parameters.slice('ca='.length))
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
