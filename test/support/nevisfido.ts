import type { ConfigurationInput } from '../../src/config/schema.ts'
import { trackSecret } from './leak-recorder.ts'
import type { Answerer, Reply, RequestOptions } from './service.ts'

const CLIENT_SECRET = 'the backend secret'
export const CLIENT = { id: 'backend', secret: CLIENT_SECRET }

export type Nevisfido = Exclude<ConfigurationInput['nevisfido'], false | undefined>

/** Nothing is protected and every user name is accepted: few tests are about either. */
export const OPEN: Nevisfido = {
  appId: 'https://fido.example.com/nevisfido/uaf/1.1/facets',
  protect: [],
  users: '*',
  clients: [{ id: CLIENT.id, secret: `plain:${CLIENT_SECRET}`, users: '*' }],
}

export const UAF = 'application/fido+uaf'
export const OPERATIONS = [
  { operation: 'registration', op: 'Reg' },
  { operation: 'authentication', op: 'Auth' },
  { operation: 'deregistration', op: 'Dereg' },
] as const
export type Operation = (typeof OPERATIONS)[number]['operation']

export const opOf = (operation: Operation) => OPERATIONS.find((entry) => entry.operation === operation)?.op ?? ''

/** Returns a well-formed body for an operation. */
export function bodyFor(operation: Operation, context: unknown = { username: 'jeff' }): string {
  return JSON.stringify({ op: opOf(operation), context: JSON.stringify(context) })
}

export function create(
  service: Answerer,
  operation: Operation,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply> {
  return service.request(`/nevisfido/token/create/${operation}`, {
    method: 'POST',
    body: bodyFor(operation),
    headers: { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json', ...headers },
    ...options,
  })
}

/** Creates a token, and records both ids as secrets. */
export async function createToken(
  service: Answerer,
  operation: Operation,
  options: RequestOptions = {},
): Promise<{ token: string; sessionId: string }> {
  const reply = await create(service, operation, options)
  const { token, sessionId } = JSON.parse(reply.body) as { token: string; sessionId: string }
  trackSecret(token)
  trackSecret(sessionId)
  return { token, sessionId }
}

export function redeem(
  service: Answerer,
  operation: Operation,
  token: unknown,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply> {
  return service.request(`/nevisfido/token/redeem/${operation}`, {
    method: 'POST',
    body: JSON.stringify({ token }),
    headers: { 'content-type': 'application/json', accept: UAF, ...headers },
    ...options,
  })
}

export function askStatus(
  service: Answerer,
  sessionId: unknown,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply> {
  return service.request('/nevisfido/status', {
    method: 'POST',
    body: JSON.stringify({ sessionId }),
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
    ...options,
  })
}

export const codeOf = ({ body }: Reply): number => (JSON.parse(body) as { statusCode: number }).statusCode
