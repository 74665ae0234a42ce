import type { KeyObject } from 'node:crypto'
import { sha256 } from '../crypto/sha256.ts'
import type { Credential, CredentialUse } from '../ports/credential-store.ts'
import { type KeyName, keyOf } from './aaid.ts'
import { type AuthenticationAssertion, readAuthenticationAssertion } from './assertion/authentication-assertion.ts'
import { demand } from './failure.ts'
import type { ExpectedChallenge } from './final-challenge.ts'
import { fitsKey, SIGNATURE_ALGORITHMS, verifySignature } from './keys/algorithms.ts'
import { restorePublicKey } from './keys/public-key.ts'
import type { MetadataStatement } from './metadata.ts'
import { attempt, namesOf, type Opened, openResponse } from './opened-response.ts'
import { type Authenticator, isTaken, type Policy } from './policy.ts'
import type { UafResponse } from './response.ts'
import { requireEnough, type UafRules } from './verdict.ts'

/** An authentication response whose assertions are parsed, and not verified yet. */
export interface OpenedAuthentication {
  readonly assertions: readonly Opened<AuthenticationAssertion>[]
  /** The keys that it used. */
  readonly names: readonly KeyName[]
  readonly finalChallengeHash: Buffer
}

/** Opens an authentication response (U14 to U19). @throws UafError where all of it fails. */
export function openAuthentication(response: UafResponse, expected: ExpectedChallenge): OpenedAuthentication {
  const assertions = openResponse(response, expected, readAuthenticationAssertion)
  return { assertions, names: namesOf(assertions), finalChallengeHash: sha256(response.fcParams) }
}

export interface AuthenticationContext {
  readonly rules: UafRules
  /** As configured, without the user's keys. */
  readonly policy: Policy
  /** The user of the session; undefined where none was named. */
  readonly username: string | undefined
  readonly isKnownUser: (username: string) => boolean
  /** SHA-256 of each alternative of the transaction; empty where none was asked for. */
  readonly transactionHashes: readonly Buffer[]
  /** Those of the used keys that are registered. */
  readonly registered: readonly Credential[]
}

export interface VerifiedUses {
  /** The owner of the keys. */
  readonly username: string
  readonly uses: readonly CredentialUse[]
}

/**
 * Verifies the assertions of an authentication response (U22 to U33), and returns what they change of their keys.
 *
 * @throws UafError where they are not enough.
 */
export function verifyAuthentication(
  { assertions, finalChallengeHash }: OpenedAuthentication,
  context: AuthenticationContext,
): VerifiedUses {
  const registered = new Map(context.registered.map((credential) => [keyOf(credential), credential]))
  const results = assertions.map((opened) =>
    'failure' in opened
      ? opened
      : attempt(() => verify(opened.assertion, registered.get(keyOf(opened.assertion)), finalChallengeHash, context)),
  )
  const held = requireEnough(results, context.policy)
  const [username, ...others] = new Set(held.map(({ use }) => use.credential.username))
  demand(username !== undefined && others.length === 0, 'several_owners')
  return { username, uses: held.map(({ use }) => use) }
}

/** Verifies one assertion, in the order of the contract: U26, U29, U22, U30, U23, U32, the signature, U31. */
function verify(
  assertion: AuthenticationAssertion,
  credential: Credential | undefined,
  finalChallengeHash: Buffer,
  { rules, policy, username, isKnownUser, transactionHashes }: AuthenticationContext,
): { authenticator: Authenticator; use: CredentialUse } {
  const { algorithm, signCounter, authenticatorVersion } = assertion
  const statement = rules.findStatement(assertion.aaid)
  demand(statement || rules.attestation === 'surrogate', 'unknown_authenticator')
  demand(credential, 'unknown_key')
  demand(username === undefined || username === credential.username, 'foreign_key')
  demand(isKnownUser(credential.username), 'unknown_user')

  const key = restorePublicKey(credential.publicKey)
  const authenticator = { ...describe(credential, key, statement), authenticatorVersion }
  demand(isTaken(authenticator, policy), 'policy_mismatch')
  const isRegistered = credential.algorithm === undefined || credential.algorithm === algorithm
  demand(isRegistered && fitsKey(algorithm, key), 'algorithm_rejected')
  demand(assertion.finalChallengeHash.equals(finalChallengeHash), 'wrong_challenge_hash')
  demand(confirms(assertion, transactionHashes), 'wrong_transaction')
  demand(verifySignature(algorithm, key, assertion.signed, assertion.signature), 'bad_signature')
  demand(isCounterNext(signCounter, credential.signCounter), 'counter_not_greater')
  return { authenticator, use: { credential, algorithm, signCounter } }
}

/** Describes a registered key to a policy. */
export function describeCredential(credential: Credential, findStatement: UafRules['findStatement']): Authenticator {
  return describe(credential, restorePublicKey(credential.publicKey), findStatement(credential.aaid))
}

function describe(
  { aaid, keyId, algorithm, authenticatorVersion }: Credential,
  key: KeyObject,
  statement: MetadataStatement | undefined,
): Authenticator {
  return {
    aaid,
    keyId,
    authenticatorVersion,
    algorithms:
      algorithm === undefined ? SIGNATURE_ALGORITHMS.filter((candidate) => fitsKey(candidate, key)) : [algorithm],
    attestationTypes: statement?.attestationTypes,
    statement,
  }
}

/** Values of the mode in ASSERTION_INFO (FIDO UAF 1.1 authenticator commands, section 5.2.2). */
const MODE = { VERIFIED: 1, TRANSACTION_CONFIRMED: 2 } as const

/** Returns whether the user confirmed one of the alternatives, or nothing where nothing was asked for (U32). */
function confirms({ mode, transactionHash }: AuthenticationAssertion, hashes: readonly Buffer[]): boolean {
  if (mode === MODE.VERIFIED) return transactionHash.length === 0 && hashes.length === 0
  return mode === MODE.TRANSACTION_CONFIRMED && hashes.some((hash) => hash.equals(transactionHash))
}

/** Authenticators without a counter always send 0 (U31). */
function isCounterNext(sent: number, stored: number): boolean {
  return sent > stored || (sent === 0 && stored === 0)
}
