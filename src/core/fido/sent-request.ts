import { sha256 } from '../crypto/sha256.ts'
import type { Credential } from '../ports/credential-store.ts'
import type { KeySelector } from '../ports/token-store.ts'
import { foldAaid, type KeyName } from '../uaf/aaid.ts'
import type { MatchCriteria, Policy } from '../uaf/policy.ts'
import { ALL_KEYS, type DeregisteredAuthenticator } from './uaf-request.ts'

/** A stored UAF request: what {@link createUafRequest} wrote. Members that its operation does not have are absent. */
export interface SentRequest {
  readonly header: { readonly serverData: string }
  readonly challenge: string
  readonly policy: Policy
  readonly transaction?: readonly { readonly content: string }[]
  readonly authenticators: readonly DeregisteredAuthenticator[]
}

/** Parses a stored request. */
export function readSentRequest(uafRequest: string): SentRequest {
  const [request] = JSON.parse(uafRequest) as [SentRequest]
  return request
}

/** Returns SHA-256 of each alternative of a request's transaction (U32). */
export function transactionHashesOf({ transaction = [] }: SentRequest): Buffer[] {
  return transaction.map(({ content }) => sha256(Buffer.from(content, 'base64url')))
}

/** Returns a registration request whose policy also disallows the keys that its user has (U5). */
export function disallowKeys(uafRequest: string, keys: readonly KeyName[]): string {
  if (keys.length === 0) return uafRequest
  const byAaid = Map.groupBy(keys, ({ aaid }) => foldAaid(aaid))
  const criteria = [...byAaid.values()].map(toCriteria)
  return withPolicy(uafRequest, ({ accepted, disallowed = [] }) => ({
    accepted,
    disallowed: [...disallowed, ...criteria],
  }))
}

/** Returns an authentication request whose policy accepts each of some keys, and no others (U5). */
export function acceptKeys(uafRequest: string, keys: readonly KeyName[]): string {
  return withPolicy(uafRequest, (policy) => ({ ...policy, accepted: keys.map((key) => [toCriteria([key])]) }))
}

function toCriteria(keys: readonly KeyName[]): MatchCriteria {
  return { aaid: keys.slice(0, 1).map(({ aaid }) => aaid), keyIDs: keys.map(({ keyId }) => keyId) }
}

/** Returns the keys that a deregistration request selects. */
export function selectorsOf(uafRequest: string): KeySelector[] {
  return readSentRequest(uafRequest).authenticators.map(({ aaid, keyID }) => ({ aaid, keyId: keyID }))
}

/** Returns a deregistration request that lists the keys that were deleted; all keys where there was none (U6). */
export function listKeys(uafRequest: string, deleted: readonly Credential[]): string {
  const authenticators = deleted.map(({ aaid, keyId }) => ({ aaid, keyID: keyId }))
  return change(uafRequest, () => ({ authenticators: deleted.length > 0 ? authenticators : ALL_KEYS }))
}

function withPolicy(uafRequest: string, replace: (policy: Policy) => Policy): string {
  return change(uafRequest, ({ policy }) => ({ policy: replace(policy) }))
}

/** Returns the text of a request with some members replaced, each in its place. */
function change(uafRequest: string, replace: (request: SentRequest) => Partial<SentRequest>): string {
  const request = readSentRequest(uafRequest)
  return JSON.stringify([{ ...request, ...replace(request) }])
}
