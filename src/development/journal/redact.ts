import querystring from 'node:querystring'
import { digestId } from '../../core/fido/issue.ts'
import { parseJson } from '../../core/uaf/response.ts'
import { isShallow } from '../json-depth.ts'
import { readSignedToken } from '../signed-token.ts'

/** Tells whether a text is a configured secret or password. */
export type IsSecret = (text: string) => boolean

export const REDACTED = '[redacted]'

const SECRET_NAME = /secret|password|passwd|assertion|credential|authorization|api[-_]?key|^code$/i
const TOKEN_NAME = /token$|^(?:token|jwt)$/i
const SESSION_NAME = /^session_?id$/i
/** Whatever may be a signed token. A pattern of its three parts would take quadratic time for long text. */
const WORD = /[\w.-]+/g
/** A pair in a query or a matrix parameter, of a URL that is in a header or in another value. */
const PAIR_IN_URL = /([?&;])([^=?&;#\s]+)=([^?&;#\s]+)/g
/** The credentials of an absolute URL. */
const USER_IN_URL = /:\/\/[^/?#]*@/g
/** The name of an authentication scheme. Anything else in its place may be a secret. */
const SCHEME = /^[a-z]{1,16}$/i

type Json = Readonly<Record<string, unknown>>

/** Redacts named values, such as a query or a form. A name that was given more than once has a list. */
export function redactPairs(pairs: Iterable<readonly [string, string]>, isSecret: IsSecret): Json {
  const redacted = new Map<string, string[]>()
  for (const [name, value] of pairs) {
    const shownName = redactValue('', name, isSecret)
    const values = redacted.get(shownName) ?? []
    values.push(redactValue(name, value, isSecret))
    redacted.set(shownName, values)
  }
  return Object.fromEntries([...redacted].map(([name, values]) => [name, values.length === 1 ? values[0] : values]))
}

/** Redacts a value by its name, and by what it looks like. */
export function redactValue(name: string, value: string, isSecret: IsSecret): string {
  if (value === '') return value
  const hidden = hide(name, value, isSecret)
  if (hidden !== undefined) return hidden
  const isEncodedSecret = (text: string) => isSecret(text) || isSecret(querystring.unescape(text))
  return value
    .replaceAll(USER_IN_URL, `://${REDACTED}@`)
    .replaceAll(PAIR_IN_URL, (pair, start: string, inner: string, text: string) => {
      const shown = hide(inner, text, isEncodedSecret)
      return shown === undefined ? pair : `${start}${inner}=${shown}`
    })
    .replaceAll(WORD, (word) => (hasToken(word) ? `[token ${describeToken(word)}]` : word))
}

/** Returns what to show in place of a secret; undefined where neither name nor value is that of one. */
function hide(name: string, value: string, isSecret: IsSecret): string | undefined {
  if (TOKEN_NAME.test(name)) return `[token ${describeToken(value)}]`
  if (SESSION_NAME.test(name)) return `[session ${digestId(value)}]`
  return SECRET_NAME.test(name) || isSecret(value) ? REDACTED : undefined
}

/** Redacts secrets and signed tokens that were written into a path, or into a whole URL in its place. */
export function redactPath(path: string, isSecret: IsSecret): string {
  return path
    .replace(USER_IN_URL, `://${REDACTED}@`)
    .split('/')
    .map((segment) => redactValue('', segment, (text) => isSecret(text) || isSecret(querystring.unescape(text))))
    .join('/')
}

/** The header of a signed token begins with `{"` in base64url. */
function hasToken(word: string): boolean {
  const parts = word.split('.')
  return parts.length >= 3 && parts.some((part) => part.startsWith('eyJ'))
}

/** Returns the id of a token: of a signed one its claim, of an opaque one its digest, as in the audit log. */
function describeToken(token: string): string {
  return readSignedToken(token)?.id ?? digestId(token)
}

/** @param caller the id of an authenticated caller, or of one with a wrong secret. */
export function redactHeaders(
  headers: Readonly<Record<string, unknown>>,
  isSecret: IsSecret,
  caller: string | undefined,
): Json {
  const redacted = Object.entries(headers).flatMap(([name, value]): [string, unknown][] => {
    if (value === undefined) return []
    const values = [value].flat().map((text) => redactHeader(name.toLowerCase(), String(text), isSecret, caller))
    return [[name, values.length === 1 ? values[0] : values]]
  })
  return Object.fromEntries(redacted)
}

function redactHeader(name: string, value: string, isSecret: IsSecret, caller: string | undefined): string {
  if (name.includes('authorization')) return redactAuthorization(value, isSecret, caller)
  if (name === 'cookie') return value.split(/; */).map(redactCookie).join('; ')
  if (name === 'set-cookie') return value.replace(/=[^;]*/, `=${REDACTED}`)
  return redactValue(name, value, isSecret)
}

/** A cookie may have no name. */
function redactCookie(pair: string): string {
  return pair.replace(/(?:^[^=]*$|(?<==).*)/s, REDACTED)
}

function redactAuthorization(value: string, isSecret: IsSecret, caller: string | undefined): string {
  const [scheme = '', ...rest] = value.trim().split(/ +/)
  if (rest.length === 0) return readSignedToken(scheme) ? `[token ${describeToken(scheme)}]` : REDACTED
  if (!SCHEME.test(scheme) || isSecret(scheme)) return REDACTED
  if (/^basic$/i.test(scheme)) return `${scheme} ${caller === undefined ? '' : `${caller}:`}${REDACTED}`
  const token = rest.at(-1) ?? ''
  return /^(?:bearer|jwt)$/i.test(scheme) && readSignedToken(token)
    ? `${scheme} [token ${describeToken(token)}]`
    : `${scheme} ${REDACTED}`
}

/** Redacts a body as the contract's parser read it: a form, the bytes of a JSON text, or a note of its size. */
export function redactBody(body: unknown, isSecret: IsSecret): unknown {
  if (typeof body === 'string') return body
  if (!Buffer.isBuffer(body)) {
    const { values = {}, repeated = [] } = body as { values?: Record<string, string | undefined>; repeated?: string[] }
    const given = Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined)
    return { ...redactPairs(given, isSecret), ...(repeated.length > 0 ? { repeated } : {}) }
  }
  const json = parseJson(body.toString())
  if (json === undefined) return `[${body.length} bytes that are not JSON]`
  return isShallow(json) ? redactJson('', json, isSecret) : `[${body.length} bytes of JSON that is too deep to show]`
}

function redactJson(name: string, value: unknown, isSecret: IsSecret): unknown {
  if (typeof value === 'string') return redactText(name, value, isSecret)
  if (typeof value === 'number') return hide(name, String(value), isSecret) ?? value
  if (Array.isArray(value)) return value.map((entry) => redactJson(name, entry, isSecret))
  if (typeof value !== 'object' || value === null) return value
  const isSecretName = [TOKEN_NAME, SESSION_NAME, SECRET_NAME].some((pattern) => pattern.test(name))
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      redactValue('', key, isSecret),
      redactJson(isSecretName ? name : key, inner, isSecret),
    ]),
  )
}

/** The context of a UAF request is JSON text in JSON. */
function redactText(name: string, value: string, isSecret: IsSecret): unknown {
  if (!/^\s*[[{]/.test(value)) return redactValue(name, value, isSecret)
  try {
    return JSON.stringify(redactJson(name, JSON.parse(value), isSecret))
  } catch {
    return redactValue(name, value, isSecret)
  }
}
