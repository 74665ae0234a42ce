import { foldAaid, type KeyName } from './aaid.ts'
import { type MetadataStatement, USER_VERIFY_ALL, userVerificationOf } from './metadata.ts'

/** Criteria that an authenticator matches where it matches every member (FIDO UAF 1.1 protocol, section 3.1.11). */
export interface MatchCriteria {
  readonly aaid?: readonly string[] | undefined
  readonly vendorID?: readonly string[] | undefined
  readonly keyIDs?: readonly string[] | undefined
  readonly userVerification?: number | undefined
  readonly keyProtection?: number | undefined
  readonly matcherProtection?: number | undefined
  readonly attachmentHint?: number | undefined
  readonly tcDisplay?: number | undefined
  readonly authenticationAlgorithms?: readonly number[] | undefined
  readonly assertionSchemes?: readonly string[] | undefined
  readonly attestationTypes?: readonly number[] | undefined
  readonly authenticatorVersion?: number | undefined
}

/** A policy. `accepted` lists alternatives; each lists authenticators to use together. */
export interface Policy {
  readonly accepted: readonly (readonly MatchCriteria[])[]
  readonly disallowed?: readonly MatchCriteria[] | undefined
}

/** What is known of a key and its authenticator. */
export interface Authenticator extends KeyName {
  readonly authenticatorVersion: number
  /** ALG_SIGN that the key may have: one where it is known, all that fit the key where it is not. */
  readonly algorithms: readonly number[]
  /** Undefined where neither an attestation nor a statement tells. */
  readonly attestationTypes: readonly number[] | undefined
  readonly statement: MetadataStatement | undefined
}

/** UAF 1.1's only scheme. */
export const ASSERTION_SCHEME = 'UAFV1TLV'

/** Returns whether a policy disallows an authenticator, or accepts it in none of its sets (U22). */
export function isTaken(authenticator: Authenticator, { accepted, disallowed = [] }: Policy): boolean {
  if (disallowed.some((criteria) => matches(authenticator, criteria, { unknown: false }))) return false
  return accepted.some((set) => set.some((criteria) => isAccepted(authenticator, criteria)))
}

/** Returns whether authenticators fill one of the accepted sets, each criterion by another authenticator (U28). */
export function fillsSet(authenticators: readonly Authenticator[], { accepted }: Policy): boolean {
  return accepted.some((set) => canAssign(set, authenticators))
}

const isAccepted = (authenticator: Authenticator, criteria: MatchCriteria): boolean =>
  matches(authenticator, criteria, { unknown: true })

/** Finds a matching in which every criterion has an authenticator: augmenting paths, after Kuhn. */
function canAssign(set: readonly MatchCriteria[], authenticators: readonly Authenticator[]): boolean {
  const assigned = new Map<Authenticator, MatchCriteria>()
  const assign = (criteria: MatchCriteria, tried: Set<Authenticator>): boolean =>
    authenticators.some((authenticator) => {
      if (tried.has(authenticator) || !isAccepted(authenticator, criteria)) return false
      tried.add(authenticator)
      const holder = assigned.get(authenticator)
      if (holder && !assign(holder, tried)) return false
      assigned.set(authenticator, criteria)
      return true
    })
  return set.every((criteria) => assign(criteria, new Set()))
}

/**
 * Returns whether an authenticator matches every member of some criteria.
 *
 * @param unknown the result for a member whose value is not known: without a statement there are no flags.
 */
function matches(
  { aaid, keyId, authenticatorVersion, algorithms, attestationTypes, statement }: Authenticator,
  criteria: MatchCriteria,
  { unknown }: { readonly unknown: boolean },
): boolean {
  const folded = foldAaid(aaid)
  const hasCommonBit = (wanted: number | undefined, flags: number | undefined): boolean =>
    wanted === undefined || (flags === undefined ? unknown : (flags & wanted) !== 0)
  return (
    contains(criteria.aaid?.map(foldAaid), [folded]) &&
    contains(criteria.vendorID?.map(foldAaid), [folded.slice(0, 4)]) &&
    contains(criteria.keyIDs, [keyId]) &&
    contains(criteria.authenticationAlgorithms, algorithms) &&
    contains(criteria.assertionSchemes, [ASSERTION_SCHEME]) &&
    (criteria.attestationTypes === undefined ||
      (attestationTypes === undefined ? unknown : contains(criteria.attestationTypes, attestationTypes))) &&
    (criteria.authenticatorVersion === undefined || criteria.authenticatorVersion <= authenticatorVersion) &&
    matchesUserVerification(criteria.userVerification, statement, unknown) &&
    hasCommonBit(criteria.keyProtection, statement?.keyProtection) &&
    hasCommonBit(criteria.matcherProtection, statement?.matcherProtection) &&
    hasCommonBit(criteria.attachmentHint, statement?.attachmentHint) &&
    hasCommonBit(criteria.tcDisplay, statement?.tcDisplay)
  )
}

/** Returns whether a criterion's list is absent or has one of some values. */
function contains<Value>(wanted: readonly Value[] | undefined, values: readonly Value[]): boolean {
  return wanted === undefined || values.some((value) => wanted.includes(value))
}

/** Equal flags, or a common one where neither side requires all of its methods (protocol, section 3.1.11). */
function matchesUserVerification(
  wanted: number | undefined,
  statement: MetadataStatement | undefined,
  unknown: boolean,
): boolean {
  if (wanted === undefined) return true
  if (!statement) return unknown
  const flags = userVerificationOf(statement)
  if (flags === undefined) return false
  return flags === wanted || (((flags | wanted) & USER_VERIFY_ALL) === 0 && (flags & wanted) !== 0)
}
