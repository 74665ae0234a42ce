import { systemRandomness } from '../../src/app/system-randomness.ts'
import {
  type Authenticator,
  type AuthenticatorOptions,
  createAuthenticator,
} from '../../src/development/authenticator/authenticator.ts'
import type { Behaviour } from '../../src/development/authenticator/misbehaviour.ts'
import { TAG, type Tlv } from '../../src/development/authenticator/tlv.ts'
import { askStatus, bodyFor, codeOf, createToken, type Operation, redeem, UAF } from './nevisfido.ts'
import type { Answerer, Reply, RequestOptions, Service } from './service.ts'

/** The model of a phone's authenticator unless a test says otherwise. */
export const AAID = 'FFFF#0001'

/** Returns a software authenticator that uses a service. */
export function createPhone({ url }: Pick<Service, 'url'>, options: Partial<AuthenticatorOptions> = {}): Authenticator {
  return createAuthenticator({ url, randomness: systemRandomness, ...options })
}

export type Answered = 'registration' | 'authentication'

/** A session whose token is redeemed. */
export interface RedeemedSession {
  readonly sessionId: string
  readonly token: string
  /** JSON text of an array with one request. */
  readonly uafRequest: string
}

/** Creates a token and redeems it. */
export async function startSession(
  service: Answerer,
  operation: Operation,
  context: unknown = { username: 'jeff' },
): Promise<RedeemedSession> {
  const { token, sessionId } = await createToken(service, operation, { body: bodyFor(operation, context) })
  const { uafRequest } = JSON.parse((await redeem(service, operation, token)).body) as { uafRequest: string }
  return { token, sessionId, uafRequest }
}

/** Sends a body to a response service. */
export function respond(
  service: Answerer,
  operation: Answered,
  body: unknown,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply> {
  return service.request(`/nevisfido/uaf/1.1/${operation}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': `${UAF};charset=UTF-8`, accept: UAF, ...headers },
    ...options,
  })
}

/** Sends a request to a request service. */
export function requestUaf(
  service: Answerer,
  operation: Operation,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply> {
  return service.request(`/nevisfido/uaf/1.1/request/${operation}`, {
    method: 'POST',
    body: bodyFor(operation),
    headers: { 'content-type': `${UAF};charset=UTF-8`, accept: UAF, ...headers },
    ...options,
  })
}

export interface Status {
  readonly status: string
  readonly timestamp: string
  readonly userId?: string
  readonly uafStatusCode?: number
  readonly asmStatusCode?: number
  readonly authenticators?: readonly { readonly aaid: string; readonly keyId: string }[]
}

/** Returns the status of a session. */
export async function statusOf(service: Answerer, sessionId: string): Promise<Status> {
  return JSON.parse((await askStatus(service, sessionId)).body) as Status
}

export interface Attempt extends RedeemedSession {
  /** The status code of the response service. */
  readonly code: number
  readonly body: unknown
}

/** Goes from a token to the reply of the response service. A registered key is kept if the service accepts it. */
export async function attempt(
  service: Answerer,
  phone: Authenticator,
  operation: Answered,
  behaviour: Behaviour = {},
  context?: unknown,
): Promise<Attempt> {
  const session = await startSession(service, operation, context)
  const { body, keep } = await phone.answer(session.uafRequest, behaviour)
  const code = codeOf(await respond(service, operation, body))
  if (code === 1200) await keep()
  return { ...session, code, body }
}

/** Creates a phone with a key for a user. @throws Error if the service refuses the registration. */
export async function createRegisteredPhone(
  service: Service,
  options: Partial<AuthenticatorOptions> = {},
  username = 'jeff',
): Promise<Authenticator> {
  const phone = createPhone(service, options)
  const { code } = await attempt(service, phone, 'registration', {}, { username })
  if (code !== 1200) throw new Error(`registration of ${username}: statusCode ${code}; expected 1200`)
  return phone
}

/** Returns elements in which one has another value. */
export function withValue(tag: number, value: Tlv['value']): (elements: Tlv[]) => Tlv[] {
  return (elements) => elements.map((element) => (element.tag === tag ? { tag, value } : element))
}

/** Returns elements without those of a tag. */
export function without(tag: number): (elements: Tlv[]) => Tlv[] {
  return (elements) => elements.filter((element) => element.tag !== tag)
}

/** Returns elements with some more at the end. */
export function withMore(...more: Tlv[]): (elements: Tlv[]) => Tlv[] {
  return (elements) => [...elements, ...more]
}

/** Returns elements in which the bytes of one, at any depth, are replaced. */
export function withReplaced(
  wanted: number,
  replace: (bytes: Buffer) => Uint8Array,
): (elements: readonly Tlv[]) => Tlv[] {
  const visit = ({ tag, value }: Tlv): Tlv => {
    if (!(value instanceof Uint8Array)) return { tag, value: value.map(visit) }
    return { tag, value: tag === wanted ? replace(Buffer.from(value)) : value }
  }
  return (elements) => elements.map(visit)
}

/** Returns elements in which the bytes of one, at any depth, are changed in place. */
export function withBytes(tag: number, change: (bytes: Buffer) => void): (elements: readonly Tlv[]) => Tlv[] {
  return withReplaced(tag, (bytes) => {
    change(bytes)
    return bytes
  })
}

/** The position of authentication mode and algorithm in ASSERTION_INFO, and of the key format in a registration's. */
export const INFO = { MODE: 2, ALGORITHM: 3, KEY_FORMAT: 5 } as const

/** Returns elements in which ASSERTION_INFO names another algorithm. */
export const withAlgorithm = (algorithm: number) =>
  withBytes(TAG.ASSERTION_INFO, (bytes) => void bytes.writeUInt16LE(algorithm, INFO.ALGORITHM))
