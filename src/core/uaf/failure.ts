/**
 * Why a response fails, with the status code that the client and the status service are told (docs/contracts/uaf.md).
 * Each reason is also a reason of the audit log.
 */
export const UAF_FAILURES = {
  /** U14 */
  bad_response_header: 1498,
  /** U15 */
  bad_final_challenge: 1498,
  unknown_facet: 1498,
  wrong_challenge: 1491,
  /** U16: the FIDO client gave up. */
  no_assertion: 1498,
  /** U17 to U19, U28 */
  bad_assertion: 1498,
  /** U26 */
  unknown_authenticator: 1480,
  /** U29 */
  unknown_key: 1481,
  foreign_key: 1401,
  unknown_user: 1403,
  /** U22, U28 */
  policy_mismatch: 1492,
  /** U21, U27 */
  key_rejected: 1494,
  /** U38 */
  too_many_keys: 1403,
  /** U20, U30 */
  algorithm_rejected: 1495,
  /** U23 */
  wrong_challenge_hash: 1498,
  /** U24, U25 */
  bad_attestation: 1496,
  /** U32 */
  wrong_transaction: 1498,
  /** U30 */
  bad_signature: 1498,
  /** U31: a replayed assertion, or a copy of the authenticator. */
  counter_not_greater: 1498,
  /** U33 */
  several_owners: 1498,
} as const

export type UafFailure = keyof typeof UAF_FAILURES

/** Thrown by the steps of a verification, and caught where its verdict is made. */
export class UafError extends Error {
  override readonly name = 'UafError'
  readonly failure: UafFailure
  /** Whether the whole response fails, and not only the assertion (U28). */
  readonly isFatal: boolean

  constructor(failure: UafFailure, { isFatal = false }: { readonly isFatal?: boolean } = {}) {
    super(failure)
    this.failure = failure
    this.isFatal = isFatal
  }
}

/** @throws UafError unless the condition holds. */
export function demand(condition: unknown, failure: UafFailure): asserts condition {
  if (!condition) throw new UafError(failure)
}
