// The curl line that sends a request of the journal again.

import { SERVER_URL } from './api.js'

/** @import { JournalRecord } from '../../journal/schema.ts' */

const FORM = 'application/x-www-form-urlencoded'

/**
 * Returns a curl line. The journal has no secrets, so SECRET, TOKEN and SESSION stand where to insert them.
 *
 * @param {JournalRecord} record
 */
export function toCurl({ method, path, query = {}, headers, body }) {
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
    else parts.push('-H', quote(`content-type: ${type}`), '-d', quote(withPlaceholders(toText(body))))
  }
  const search = pairsOf(query).map(([name, value]) => `${encode(name)}=${encode(value)}`)
  const url = `${SERVER_URL}${path.slice(1)}${search.length > 0 ? `?${search.join('&')}` : ''}`
  return [...parts, quote(url)].join(' ')
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

/** @param {unknown} body */
function toText(body) {
  return typeof body === 'string' ? body : JSON.stringify(body)
}

/** @param {string} text */
function quote(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isMembers(value) {
  return typeof value === 'object' && value !== null
}
