// The curl line that sends a request of the journal again.

import { SERVER_URL } from './api.js'

/** @import { JournalRecord } from '../../journal/schema.ts' */

const FORM = 'application/x-www-form-urlencoded'

/** Paths that curl sends as they are: others have a pattern, a dot segment or a fragment for it, or are no path. */
const PLAIN_PATH = /^(?!.*\/\.{1,2}(?:\/|$))\/[^[\]{}#]*$/

/**
 * Returns a curl line. The journal has no secrets, so SECRET, TOKEN and SESSION stand where to insert them.
 *
 * @param {JournalRecord} record
 */
export function toCurl({ method, path: shownPath, query = {}, headers, body }) {
  const path = withPlaceholders(shownPath)
  const parts = ['curl', '-sS', '-i']
  if (method === 'HEAD') parts.push('-I')
  else if (method !== (body === undefined ? 'GET' : 'POST')) parts.push('-X', method)
  parts.push(...credentials(String(headers.authorization ?? '')))
  for (const name of ['accept', 'cookie']) {
    const value = headers[name]
    if (typeof value === 'string' && value !== '*/*') parts.push('-H', quote(`${name}: ${withPlaceholders(value)}`))
  }
  const type = String(headers['content-type'] ?? '')
  if (body !== undefined) {
    if (type.startsWith(FORM) && isMembers(body)) parts.push(...formFields(body))
    else parts.push('-H', quote(`content-type: ${type}`), '--data-raw', quote(withPlaceholders(toText(body))))
  }
  const pairs = pairsOf(query).map(([name, value]) => `${encode(name)}=${encode(value)}`)
  const search = pairs.length > 0 ? `?${pairs.join('&')}` : ''
  if (PLAIN_PATH.test(path)) return [...parts, quote(`${SERVER_URL}${path.slice(1)}${search}`)].join(' ')
  const target = path.startsWith('/') ? `${new URL(SERVER_URL).pathname}${path.slice(1)}` : path
  return [...parts, '--request-target', quote(`${target}${search}`), quote(SERVER_URL)].join(' ')
}

/** @param {string} authorization as the journal redacts it. */
function credentials(authorization) {
  if (authorization === '') return []
  const [scheme = '', rest = ''] = authorization.split(/ (.*)/s)
  if (/^basic$/i.test(scheme)) return ['-u', quote(rest.includes(':') ? withPlaceholders(rest) : 'ID:SECRET')]
  return ['-H', quote(`authorization: ${withPlaceholders(authorization)}`)]
}

/** @param {Record<string, unknown>} form */
function formFields({ repeated: _repeated, ...form }) {
  return pairsOf(form).flatMap(([name, value]) => ['--data-urlencode', quote(`${name}=${value}`)])
}

/**
 * @param {Record<string, unknown>} members
 * @returns {[string, string][]}
 */
function pairsOf(members) {
  return Object.entries(members).flatMap(([name, value]) =>
    [value].flat().map((single) => /** @type {[string, string]} */ ([name, withPlaceholders(String(single))])),
  )
}

/** @param {string} text */
function withPlaceholders(text) {
  return text
    .replaceAll('[redacted]', 'SECRET')
    .replaceAll(/\[token [^\]]*\]/g, 'TOKEN')
    .replaceAll(/\[session [^\]]*\]/g, 'SESSION')
}

/** @param {string} text */
function encode(text) {
  return encodeURIComponent(text).replaceAll(/%(2F|3A|2C)/g, decodeURIComponent)
}

/** Returns JSON text, or what the journal says of other bytes. @param {unknown} body */
function toText(body) {
  return typeof body === 'string' && /^\[\d+ bytes/.test(body) ? body : JSON.stringify(body)
}

/**
 * Quotes text for a shell. A control character would act on the terminal that the line is pasted into, and could end
 * the line and begin another command: it becomes an escape of `$'…'`.
 *
 * @param {string} text
 */
function quote(text) {
  const quoted = text.replaceAll("'", String.raw`'\''`)
  if (!/\p{Cc}/u.test(text)) return `'${quoted}'`
  const escaped = text.replaceAll(/['\\]/g, String.raw`\$&`).replaceAll(/\p{Cc}/gu, escapeBytes)
  return `$'${escaped}'`
}

/** Escapes each byte of a character in UTF-8, in octal: the digits after it are not part of it. @param {string} character */
function escapeBytes(character) {
  return [...new TextEncoder().encode(character)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isMembers(value) {
  return typeof value === 'object' && value !== null
}
