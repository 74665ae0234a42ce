import type { KeyObject, X509Certificate } from 'node:crypto'
import { sha256 } from '../crypto/sha256.ts'
import type { Credential } from '../ports/credential-store.ts'
import { type KeyName, keyOf } from './aaid.ts'
import { type RegistrationAssertion, readRegistrationAssertion } from './assertion/registration-assertion.ts'
import { TAG } from './assertion/tags.ts'
import { verifyAttestation } from './attestation.ts'
import { demand } from './failure.ts'
import type { ExpectedChallenge } from './final-challenge.ts'
import { fitsKey, kindNeededBy, SIGNATURE_ALGORITHMS } from './keys/algorithms.ts'
import { parseCertificate } from './keys/certificates.ts'
import { exportPublicKey, importPublicKey, kindsOfFormat, verifiesQuickly } from './keys/public-key.ts'
import type { MetadataStatement } from './metadata.ts'
import { attempt, namesOf, type Opened, openResponse } from './opened-response.ts'
import { type Authenticator, isTaken, type Policy } from './policy.ts'
import type { UafResponse } from './response.ts'
import { requireEnough, type UafRules } from './verdict.ts'

/** A registration response whose assertions are parsed, and not verified yet. */
export interface OpenedRegistration {
  readonly assertions: readonly Opened<RegistrationAssertion>[]
  /** The keys that it offers. */
  readonly names: readonly KeyName[]
  readonly finalChallengeHash: Buffer
}

/** Opens a registration response (U14 to U19). @throws UafError where all of it fails. */
export function openRegistration(response: UafResponse, expected: ExpectedChallenge): OpenedRegistration {
  const assertions = openResponse(response, expected, readRegistrationAssertion)
  return { assertions, names: namesOf(assertions), finalChallengeHash: sha256(response.fcParams) }
}

/** A key that was verified. */
export type VerifiedKey = Omit<Credential, 'username' | 'registeredAt' | 'lastUsedAt'>

export interface RegistrationContext {
  readonly rules: UafRules
  /** As configured, without the user's keys. */
  readonly policy: Policy
  /** The user of the session. */
  readonly username: string | undefined
  /** Those of the offered keys that are registered already. */
  readonly registered: readonly Credential[]
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * Verifies the assertions of a registration response (U20 to U28), and returns the keys to register.
 *
 * @throws UafError where they are not enough.
 */
export function verifyRegistration(
  { assertions, finalChallengeHash }: OpenedRegistration,
  context: RegistrationContext,
): VerifiedKey[] {
  const owners = new Map(context.registered.map((credential) => [keyOf(credential), credential.username]))
  const results = assertions.map((opened) =>
    'failure' in opened ? opened : attempt(() => verify(opened.assertion, owners, finalChallengeHash, context)),
  )
  return requireEnough(results, context.policy).map(({ key }) => key)
}

/** Verifies one assertion, in the order of the contract: U26, U20 to U25, U27. */
function verify(
  assertion: RegistrationAssertion,
  owners: ReadonlyMap<string, string>,
  finalChallengeHash: Buffer,
  { rules, policy, username, now }: RegistrationContext,
): { authenticator: Authenticator; key: VerifiedKey } {
  const { aaid, keyId, authenticatorVersion, signCounter, attestation } = assertion
  const statement = rules.findStatement(aaid)
  demand(statement || rules.attestation === 'surrogate', 'unknown_authenticator')

  const certificates = parseChain(assertion)
  const algorithm = readKeyAlgorithm(assertion, statement)
  const key = importKey(assertion, algorithm)
  const signer = certificates?.[0]
  demand(!signer || fitsKey(assertion.algorithm, signer.publicKey), 'algorithm_rejected')

  const algorithms = SIGNATURE_ALGORITHMS.filter((candidate) => fitsKey(candidate, key))
  const authenticator: Authenticator = {
    aaid,
    keyId,
    authenticatorVersion,
    algorithms: algorithm === undefined ? algorithms : [algorithm],
    attestationTypes: [attestation.type],
    statement,
  }
  const owner = owners.get(keyOf(assertion))
  // The request's policy disallowed the keys of its user.
  demand(isTaken(authenticator, policy) && (owner === undefined || owner !== username), 'policy_mismatch')
  demand(assertion.finalChallengeHash.equals(finalChallengeHash), 'wrong_challenge_hash')
  verifyAttestation(assertion, { key, certificates, statement, required: rules.attestation, now })
  demand(owner === undefined, 'key_rejected')
  return {
    authenticator,
    key: { aaid, keyId, publicKey: exportPublicKey(key), algorithm, signCounter, authenticatorVersion },
  }
}

function parseChain({ attestation }: RegistrationAssertion): X509Certificate[] | undefined {
  if (attestation.type !== TAG.BASIC_FULL) return undefined
  const certificates = attestation.certificates.map(parseCertificate)
  return certificates.every(isUsable) ? certificates : undefined
}

function isUsable(certificate: X509Certificate | undefined): certificate is X509Certificate {
  return certificate !== undefined && verifiesQuickly(certificate.publicKey)
}

/**
 * Returns the algorithm of the registered key: with BASIC_FULL, the assertion names the one of the attestation key, and
 * only a statement tells the other.
 *
 * @throws UafError `algorithm_rejected` where the assertion names an unknown one, or another one than the statement.
 */
function readKeyAlgorithm(
  { algorithm, attestation }: RegistrationAssertion,
  statement: MetadataStatement | undefined,
): number | undefined {
  const isKnown = kindNeededBy(algorithm) !== undefined
  demand(isKnown && (!statement || statement.authenticationAlgorithm === algorithm), 'algorithm_rejected')
  return attestation.type === TAG.BASIC_FULL ? statement?.authenticationAlgorithm : algorithm
}

/** Imports the key (U21). @throws UafError `algorithm_rejected` where its algorithm, if known, does not fit it. */
function importKey({ keyFormat, publicKey }: RegistrationAssertion, algorithm: number | undefined): KeyObject {
  const kinds = kindsOfFormat(keyFormat)
  const needed = algorithm === undefined ? undefined : kindNeededBy(algorithm)
  demand(!needed || kinds.length === 0 || kinds.includes(needed), 'algorithm_rejected')
  const key = importPublicKey(keyFormat, publicKey, algorithm)
  demand(algorithm === undefined || fitsKey(algorithm, key), 'algorithm_rejected')
  return key
}
