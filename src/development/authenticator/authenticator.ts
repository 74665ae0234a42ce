import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, createAnswer, type KeyName, type Model } from './answer.ts'
import { isNamed } from './fido-client.ts'
import { createKeyRing, type KeyRing, type UafKey } from './key.ts'
import type { Behaviour } from './misbehaviour.ts'
import { createServiceClient } from './service-client.ts'
import { readRequest } from './uaf-message.ts'

export interface AuthenticatorOptions extends Omit<Model, 'keyRing'> {
  /** The base URL of the server, such as `http://127.0.0.1:8080`; a function where it is known later. */
  readonly url: string | (() => string)
  /** In memory by default. */
  readonly keyRing?: KeyRing
  /** Waits before a late answer; by default in real time. */
  readonly wait?: (milliseconds: number) => Promise<void>
}

/** What became of a token. */
export interface Outcome {
  /** `redeem` where the server refused the token, and for a deregistration; otherwise `respond`. */
  readonly step: 'redeem' | 'respond'
  /** The FIDO UAF status code of that step; 1200 is success. */
  readonly statusCode: number
  /** The keys that the answer used; for a deregistration, those that were deleted. */
  readonly authenticators: readonly KeyName[]
}

/** A software FIDO UAF 1.1 authenticator with its client. */
export interface Authenticator {
  readonly keys: readonly UafKey[]
  /** Redeems a token for a registration and answers with a new key. */
  register(token: string, behaviour?: Behaviour): Promise<Outcome>
  /** Redeems a token for an authentication and answers with a registered key. */
  authenticate(token: string, behaviour?: Behaviour): Promise<Outcome>
  /** Redeems a token for a deregistration and deletes the keys that the request names. */
  deregister(token: string): Promise<Outcome>
  /**
   * Answers the request of a registration or authentication, without sending anything.
   *
   * @param uafRequest JSON text of an array with one request.
   */
  answer(uafRequest: string, behaviour?: Behaviour): Promise<Answer>
}

/** FIDO UAF application API and transport 1.1, section 3.3. */
const SUCCESS = 1200

/** How long after the deadline a late answer is sent. */
const LATENESS_MS = 1_000

/** Creates a software authenticator. Its methods throw AuthenticatorError. */
export function createAuthenticator({ url, wait, ...options }: AuthenticatorOptions): Authenticator {
  const { keyRing = createKeyRing() } = options
  const model: Model = { ...options, keyRing }
  const service = createServiceClient(url)

  async function run(
    operation: 'registration' | 'authentication',
    token: string,
    behaviour: Behaviour = {},
  ): Promise<Outcome> {
    const { statusCode, uafRequest, lifetimeMillis = 0 } = await service.redeem(operation, token)
    if (uafRequest === undefined) return { step: 'redeem', statusCode, authenticators: [] }
    const answer = await createAnswer(uafRequest, model, behaviour)
    if (behaviour.misbehave === 'late') await (wait ?? sleep)(lifetimeMillis + LATENESS_MS)
    const responded = await service.respond(operation, answer.body)
    if (responded === SUCCESS) await answer.keep()
    return { step: 'respond', statusCode: responded, authenticators: answer.keys }
  }

  return {
    get keys() {
      return keyRing.all()
    },
    register: (token, behaviour) => run('registration', token, behaviour),
    authenticate: (token, behaviour) => run('authentication', token, behaviour),
    async deregister(token) {
      const { statusCode, uafRequest } = await service.redeem('deregistration', token)
      if (uafRequest === undefined) return { step: 'redeem', statusCode, authenticators: [] }
      const request = readRequest(uafRequest)
      const deleted = keyRing.all().filter((key) => isNamed(key, request))
      await keyRing.remove(deleted)
      return { step: 'redeem', statusCode, authenticators: deleted.map(({ aaid, keyId }) => ({ aaid, keyId })) }
    },
    answer: (uafRequest, behaviour = {}) => createAnswer(uafRequest, model, behaviour),
  }
}
