import { createHmac } from 'node:crypto'
import { decodeJwt } from 'jose'
import type { BwsTask } from '../../src/core/bws/task.ts'
import type { IdscanArea } from '../../src/core/idscan/account.ts'
import { getToken, QUERY } from './bws.ts'
import { jsonOf, LOGIN, login } from './idscan.ts'
import { trackSecret } from './leak-recorder.ts'
import { type Answerer, KEY, type Reply, type RequestOptions } from './service.ts'

/** Who may introspect and revoke, and the configuration that says so. */
export const RESOURCE_SERVER = { id: 'verify-api', secret: 'resource server secret 7f3a' }
export const RESOURCE_SERVERS = [{ id: RESOURCE_SERVER.id, secret: `plain:${RESOURCE_SERVER.secret}` }]

/** 32 bytes, base64url: a key that no service here is configured with. */
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

/** What a gateway asks for a caller of BWS who sent this token. */
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

/** What a gateway asks for a caller of IDscan who sent this token, raw. */
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

/** Signs any claims as an attacker would; with everything left out, exactly as the service does. */
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

/** The token with the character at one place changed, the last by default. */
export function alter(token: string, at = token.length - 1): string {
  const altered = `${token.slice(0, at)}${token[at] === '0' ? '1' : '0'}${token.slice(at + 1)}`
  trackSecret(altered)
  return altered
}

/** A reply's headers, without those that differ from one reply to the next or tell of the connection. */
export function steadyHeaders({ headers }: Reply): Reply['headers'] {
  const { 'x-request-id': _id, date: _date, connection: _connection, 'keep-alive': _alive, ...steady } = headers
  return steady
}

/** The `X-Trimint-…` headers of a reply, without that beginning. */
export function identityOf({ headers }: Reply): Record<string, unknown> {
  const named = Object.entries(headers).filter(([name]) => name.startsWith('x-trimint-'))
  return Object.fromEntries(named.map(([name, value]) => [name.slice('x-trimint-'.length), value]))
}
