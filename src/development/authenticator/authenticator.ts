import { createPrivateKey, createPublicKey, hash, type KeyObject } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Randomness } from '../../core/randomness.ts'
import { defaultKeyFormat, generatePrivateKey, type KeyFormat, type SignatureAlgorithm } from './algorithms.ts'
import { type Attestation, createAuthenticationAssertion, createRegistrationAssertion } from './assertion.ts'
import {
  assembleBody,
  checkApplies,
  chooseKey,
  encodeFinalChallenge,
  gaveUpWith,
  hashTransaction,
  isNamed,
} from './fido-client.ts'
import { createKeyRing, type KeyRing, type UafKey } from './key.ts'
import type { Behaviour } from './misbehaviour.ts'
import { createServiceClient } from './service-client.ts'
import { type UafRequest, uafRequestText } from './uaf-message.ts'

export interface AuthenticatorOptions {
  /** The base URL of the server, such as `http://127.0.0.1:8080`; a function where it is known later. */
  readonly url: string | (() => string)
  readonly randomness: Randomness
  /** In memory by default. */
  readonly keyRing?: KeyRing
  /** The model: vendor and model in hexadecimal, `FFFF#0001` by default. */
  readonly aaid?: string
  readonly authenticatorVersion?: number
  /** By default the origin of the request's `appID`. */
  readonly facetId?: string
  /** How its keys sign; 1, ECDSA on P-256, by default. */
  readonly algorithm?: SignatureAlgorithm
  /** By default the raw format of the algorithm. */
  readonly keyFormat?: KeyFormat
  /** By default surrogate: each new key attests to itself. */
  readonly attestation?: Attestation
  /** Registers this key in place of new ones. */
  readonly privateKey?: KeyObject
  /** Waits before a late answer; by default in real time. */
  readonly wait?: (milliseconds: number) => Promise<void>
}

/** What became of a token. */
interface Outcome {
  /** `redeem` where the server refused the token, otherwise `respond`. */
  readonly step: 'redeem' | 'respond'
  /** The FIDO UAF status code of that step; 1200 is success. */
  readonly statusCode: number
  /** The keys that the answer used; for a deregistration, those that were deleted. */
  readonly authenticators: readonly KeyName[]
}

interface KeyName {
  readonly aaid: string
  /** Base64url. */
  readonly keyId: string
}

/** An answer to a request. */
interface Answer {
  readonly body: unknown
  /** The keys that it uses. */
  readonly keys: readonly KeyName[]
  /** Keeps the new key, once the server has accepted the answer. */
  keep(): Promise<void>
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

const KEY_ID_BYTES = 32
const NONCE_BYTES = 32

/** Not 0, which means that an authenticator does not count (FIDO UAF protocol 1.1, section 3.5.7.5). */
const FIRST_COUNTER = 1

/** How long after the deadline a late answer is sent. */
const LATENESS_MS = 1_000

/** Creates a software authenticator. Its methods throw AuthenticatorError. */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { randomness, keyRing = createKeyRing(), wait = (milliseconds) => sleep(milliseconds) } = options
  const {
    aaid = 'FFFF#0001',
    authenticatorVersion = 1,
    algorithm = 1,
    keyFormat = defaultKeyFormat(algorithm),
  } = options
  const service = createServiceClient(options.url)

  async function run(
    operation: 'registration' | 'authentication',
    token: string,
    behaviour: Behaviour,
  ): Promise<Outcome> {
    const redeemed = await service.redeem(operation, token)
    const { statusCode, uafRequest, lifetimeMillis = 0 } = redeemed
    if (uafRequest === undefined) return { step: 'redeem', statusCode, authenticators: [] }
    const answer = await createAnswer(uafRequest, behaviour)
    if (behaviour.misbehave === 'late') await wait(lifetimeMillis + LATENESS_MS)
    const responded = await service.respond(operation, answer.body)
    if (responded === SUCCESS) await answer.keep()
    return { step: 'respond', statusCode: responded, authenticators: answer.keys }
  }

  async function createAnswer(uafRequest: string, behaviour: Behaviour = {}): Promise<Answer> {
    const [request] = uafRequestText.parse(uafRequest)
    checkApplies(behaviour, request)
    const { appID, op } = request.header
    const fcParams = encodeFinalChallenge(request, options.facetId ?? new URL(appID).origin, behaviour)
    const asmStatusCode = gaveUpWith(behaviour)
    if (asmStatusCode !== undefined) {
      const context = JSON.stringify({ asmStatusCode })
      return { body: assembleBody(request, fcParams, [], behaviour, context), keys: [], keep: async () => undefined }
    }
    const finalChallengeHash = hash('sha256', fcParams, 'buffer')
    const made = await (op === 'Reg'
      ? register(request, finalChallengeHash, behaviour)
      : authenticate(request, finalChallengeHash, behaviour))
    const body = assembleBody(request, fcParams, [made.assertion], behaviour)
    return { body, keys: [{ aaid: made.key.aaid, keyId: made.key.keyId }], keep: made.keep }
  }

  interface Made {
    readonly assertion: Buffer
    readonly key: UafKey
    keep(): Promise<void>
  }

  async function register(
    { header, username = '' }: UafRequest,
    finalChallengeHash: Uint8Array,
    { misbehave, change }: Behaviour,
  ): Promise<Made> {
    const keyId = randomness.bytes(KEY_ID_BYTES)
    const privateKey = options.privateKey ?? (await generatePrivateKey(algorithm))
    const key: UafKey = {
      appId: header.appID,
      username,
      aaid,
      keyId: Buffer.from(keyId).toString('base64url'),
      algorithm,
      privateKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
      signCounter: FIRST_COUNTER,
    }
    const assertion = createRegistrationAssertion(
      {
        aaid,
        keyId,
        algorithm,
        keyFormat,
        authenticatorVersion,
        finalChallengeHash,
        signCounter: key.signCounter,
        regCounter: keyRing.all().length + 1,
        publicKey: createPublicKey(privateKey),
        privateKey: misbehave === 'wrongKey' ? await generatePrivateKey(algorithm) : privateKey,
        attestation: options.attestation,
      },
      change,
    )
    return {
      assertion,
      key,
      keep: () => keyRing.replace([...keyRing.all(), key]),
    }
  }

  async function authenticate(
    request: UafRequest,
    finalChallengeHash: Uint8Array,
    { misbehave, change }: Behaviour,
  ): Promise<Made> {
    const key = chooseKey(keyRing.all(), request)
    const signCounter = misbehave === 'clonedCounter' ? key.signCounter : key.signCounter + 1
    // A signature counts, whatever the server says to it.
    await keyRing.replace(keyRing.all().map((candidate) => (candidate === key ? { ...key, signCounter } : candidate)))
    const assertion = createAuthenticationAssertion(
      {
        aaid: key.aaid,
        keyId: Buffer.from(key.keyId, 'base64url'),
        algorithm: key.algorithm,
        authenticatorVersion,
        finalChallengeHash,
        signCounter,
        privateKey:
          misbehave === 'wrongKey' ? await generatePrivateKey(key.algorithm) : createPrivateKey(key.privateKey),
        nonce: randomness.bytes(NONCE_BYTES),
        transactionHash: hashTransaction(request, misbehave === 'alteredTransaction'),
      },
      change,
    )
    return { assertion, key, keep: async () => undefined }
  }

  return {
    get keys() {
      return keyRing.all()
    },
    register: (token, behaviour = {}) => run('registration', token, behaviour),
    authenticate: (token, behaviour = {}) => run('authentication', token, behaviour),
    async deregister(token) {
      const { statusCode, uafRequest } = await service.redeem('deregistration', token)
      if (uafRequest === undefined) return { step: 'redeem', statusCode, authenticators: [] }
      const [request] = uafRequestText.parse(uafRequest)
      const keys = keyRing.all()
      const deleted = keys.filter((key) => isNamed(key, request))
      await keyRing.replace(keys.filter((key) => !deleted.includes(key)))
      return { step: 'redeem', statusCode, authenticators: deleted.map(({ aaid, keyId }) => ({ aaid, keyId })) }
    },
    answer: createAnswer,
  }
}
