import { createPrivateKey, createPublicKey, hash, type KeyObject } from 'node:crypto'
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
} from './fido-client.ts'
import type { KeyRing, UafKey } from './key.ts'
import type { Behaviour } from './misbehaviour.ts'
import { readRequest, type UafRequest } from './uaf-message.ts'

/** What kind of authenticator answers. */
export interface Model {
  readonly randomness: Randomness
  readonly keyRing: KeyRing
  /** Vendor and model in hexadecimal, `FFFF#0001` by default. */
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
}

/** An answer to a request. */
export interface Answer {
  readonly body: unknown
  /** The keys that it uses. */
  readonly keys: readonly KeyName[]
  /** Keeps the new key, once the server has accepted the answer. */
  keep(): Promise<void>
}

export interface KeyName {
  readonly aaid: string
  /** Base64url. */
  readonly keyId: string
}

const KEY_ID_BYTES = 32
const NONCE_BYTES = 32

/** Not 0, which means that an authenticator does not count (FIDO UAF protocol 1.1, section 3.5.7.5). */
const FIRST_COUNTER = 1

/**
 * Answers the request of a registration or authentication.
 *
 * @param uafRequest JSON text of an array with one request.
 * @throws AuthenticatorError if there is no key for it, or if the misbehaviour does not apply.
 */
export async function createAnswer(uafRequest: string, model: Model, behaviour: Behaviour): Promise<Answer> {
  const request = readRequest(uafRequest)
  checkApplies(behaviour, request)
  const { appID, op } = request.header
  const fcParams = encodeFinalChallenge(request, model.facetId ?? originOf(appID), behaviour)
  const asmStatusCode = gaveUpWith(behaviour)
  if (asmStatusCode !== undefined) {
    const context = JSON.stringify({ asmStatusCode })
    return { body: assembleBody(request, fcParams, [], behaviour, context), keys: [], keep: async () => undefined }
  }
  const challenge = { request, finalChallengeHash: hash('sha256', fcParams, 'buffer') }
  const sign = op === 'Reg' ? signRegistration : signAuthentication
  const { assertion, key, keep } = await sign(challenge, model, behaviour)
  const body = assembleBody(request, fcParams, [assertion], behaviour)
  return { body, keys: [{ aaid: key.aaid, keyId: key.keyId }], keep }
}

function originOf(appID: string): string {
  return URL.canParse(appID) ? new URL(appID).origin : ''
}

interface Challenge {
  readonly request: UafRequest
  readonly finalChallengeHash: Uint8Array
}

interface Signed {
  readonly assertion: Buffer
  readonly key: UafKey
  keep(): Promise<void>
}

async function signRegistration(
  { request: { header, username = '' }, finalChallengeHash }: Challenge,
  model: Model,
  { misbehave, change }: Behaviour,
): Promise<Signed> {
  const { randomness, keyRing, aaid = 'FFFF#0001', authenticatorVersion = 1, algorithm = 1, attestation } = model
  const keyId = randomness.bytes(KEY_ID_BYTES)
  const privateKey = model.privateKey ?? (await generatePrivateKey(algorithm))
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
      keyFormat: model.keyFormat ?? defaultKeyFormat(algorithm),
      authenticatorVersion,
      finalChallengeHash,
      signCounter: key.signCounter,
      regCounter: keyRing.all().length + 1,
      publicKey: createPublicKey(privateKey),
      privateKey: misbehave === 'wrongKey' ? await generatePrivateKey(algorithm) : privateKey,
      attestation,
    },
    change,
  )
  return { assertion, key, keep: () => keyRing.put(key) }
}

async function signAuthentication(
  { request, finalChallengeHash }: Challenge,
  { randomness, keyRing, authenticatorVersion = 1 }: Model,
  { misbehave, change }: Behaviour,
): Promise<Signed> {
  const key = chooseKey(keyRing.all(), request)
  const { aaid, keyId, algorithm } = key
  const signCounter = misbehave === 'clonedCounter' ? key.signCounter : key.signCounter + 1
  // A signature counts, whatever the server says to it.
  await keyRing.put({ ...key, signCounter })
  const assertion = createAuthenticationAssertion(
    {
      aaid,
      keyId: Buffer.from(keyId, 'base64url'),
      algorithm,
      authenticatorVersion,
      finalChallengeHash,
      signCounter,
      privateKey: misbehave === 'wrongKey' ? await generatePrivateKey(algorithm) : createPrivateKey(key.privateKey),
      nonce: randomness.bytes(NONCE_BYTES),
      transactionHash: hashTransaction(request, misbehave === 'alteredTransaction'),
    },
    change,
  )
  return { assertion, key, keep: async () => undefined }
}
