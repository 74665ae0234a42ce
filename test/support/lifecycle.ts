import { createHmac } from 'node:crypto'
import { decodeJwt } from 'jose'
import type { BwsTask } from '../../src/core/bws/task.ts'
import type { IdscanArea } from '../../src/core/idscan/account.ts'
import { getToken, QUERY } from './bws.ts'
import { jsonOf, LOGIN, login } from './idscan.ts'
import { trackSecret } from './leak-recorder.ts'
import { type Answerer, KEY, type Reply, type RequestOptions } from './service.ts'

/** The only resource server, and the configuration that lists it. */
export const RESOURCE_SERVER = { id: 'verify-api', secret: 'resource server secret 7f3a' }
export const RESOURCE_SERVERS = [{ id: RESOURCE_SERVER.id, secret: `plain:${RESOURCE_SERVER.secret}` }]

/** A key (32 bytes, base64url) that no service in the tests is configured with. */
export const FOREIGN_KEY = 'YS1mb3JlaWduLWtleS1vZi10aGlydHktdHdvLWJ5dGU'

export type BwsOperation = BwsTask | 'upload'
export type Claims = Readonly<Record<string, unknown>>

export function introspect(service: Answerer, token: string, options: RequestOptions = {}): Promise<Reply> {
  return sendToken(service, '/introspect', token, options)
}

export function revoke(service: Answerer, token: string, options: RequestOptions = {}): Promise<Reply> {
  return sendToken(service, '/revoke', token, options)
}

function sendToken(service: Answerer, path: string, token: string, options: RequestOptions): Promise<Reply> {
  const { headers = {}, ...rest } = options
  return service.request(path, {
    method: 'POST',
    as: RESOURCE_SERVER,
    body: new URLSearchParams({ token }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    ...rest,
  })
}

/** Sends the check that a gateway sends for a BWS client with this token. */
export function checkBws(
  service: Answerer,
  operation: BwsOperation,
  token: string,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply> {
  return service.request(`/authz/bws/${operation}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    ...options,
  })
}

/** Sends the check that a gateway sends for an IDscan client with this token, unencoded. */
export function checkIdscan(
  service: Answerer,
  area: IdscanArea,
  token: string,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply> {
  return service.request(`/authz/idscan/${area}`, { headers: { authorization: token, ...headers }, ...options })
}

export async function issueBws(service: Answerer, query = '', options: RequestOptions = {}): Promise<string> {
  const reply = await getToken(service, `${QUERY}&${query}`, options)
  if (reply.status !== 200) throw new Error(`no BWS token: ${reply.body}`)
  return reply.body
}

export async function issueIdscan(service: Answerer, form: Record<string, string> = {}): Promise<string> {
  const reply = await login(service, { ...LOGIN, ...form })
  if (reply.status !== 200) throw new Error(`no IDscan token: ${reply.body}`)
  return String(jsonOf(reply).access_token)
}

export function claimsIn(token: string): Claims {
  return decodeJwt(token)
}

export interface Forgery {
  readonly header?: Claims
  /** base64url. */
  readonly key?: string
  readonly hash?: string
}

/** Signs any claims, as an attacker would. Without options, the result equals a token of the service. */
export function forge(
  claims: Claims,
  { header = { alg: 'HS256', typ: 'JWT' }, key = KEY, hash = 'sha256' }: Forgery = {},
): string {
  const encode = (value: Claims): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  const token = `${input}.${createHmac(hash, Buffer.from(key, 'base64url')).update(input).digest('base64url')}`
  trackSecret(token)
  return token
}

/** Returns the token with one character changed, by default the last. */
export function alter(token: string, at = token.length - 1): string {
  const altered = `${token.slice(0, at)}${token[at] === '0' ? '1' : '0'}${token.slice(at + 1)}`
  trackSecret(altered)
  return altered
}

/** Returns a reply's headers without those that describe the connection or differ from reply to reply. */
export function steadyHeaders({ headers }: Reply): Reply['headers'] {
  const { 'x-request-id': _id, date: _date, connection: _connection, 'keep-alive': _alive, ...steady } = headers
  return steady
}

/** Returns a reply's `X-Trimint-…` headers, without that prefix. */
export function identityOf({ headers }: Reply): Record<string, unknown> {
  const named = Object.entries(headers).filter(([name]) => name.startsWith('x-trimint-'))
  return Object.fromEntries(named.map(([name, value]) => [name.slice('x-trimint-'.length), value]))
}
