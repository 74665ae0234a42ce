import type { StoreUnavailableError } from '../core/availability.ts'

/** Why a request is refused. A closed and stable list: dashboards and alerts depend on it (docs/audit.md). */
export const REFUSAL_REASONS = [
  'method_not_allowed',
  'missing_authorization',
  'malformed_authorization',
  'unknown_app',
  'unknown_account',
  'unknown_client',
  'unknown_resource_server',
  'bad_secret',
  'bad_password',
  'bad_bearer',
  'account_disabled',
  'blocked',
  'overloaded',
  'bad_body',
  'body_too_large',
  'unsupported_grant_type',
  'unsupported_media_type',
  'not_acceptable',
  'bad_contents',
  'bad_parameter',
  'foreign_id',
  'task_not_allowed',
  'bcid_not_allowed',
  'area_not_allowed',
  'user_not_allowed',
  'unknown_user',
  'unknown_token',
  'token_spent',
  'token_expired',
  'wrong_operation',
  'unknown_session',
  'session_ended',
  'response_late',
  'bad_response_header',
  'bad_final_challenge',
  'unknown_facet',
  'wrong_challenge',
  'no_assertion',
  'bad_assertion',
  'unknown_authenticator',
  'unknown_key',
  'foreign_key',
  'policy_mismatch',
  'key_rejected',
  'too_many_keys',
  'algorithm_rejected',
  'wrong_challenge_hash',
  'bad_attestation',
  'wrong_transaction',
  'bad_signature',
  'counter_not_greater',
  'several_owners',
  'invalid_token',
  'token_not_yet_valid',
  'token_revoked',
  'token_idle',
  'wrong_task',
  'tries_used_up',
  'wrong_area',
  'store_unavailable',
  'no_signing_key',
  'internal_error',
] as const

export type RefusalReason = (typeof REFUSAL_REASONS)[number]

/** Says what was wrong in one request, with what was asked and what is configured. Never returns a secret. */
export type Explain = () => string

interface RefusalDetails {
  readonly app?: string | undefined
  readonly account?: string | undefined
  readonly client?: string | undefined
  readonly resourceServer?: string | undefined
  readonly operation?: string | undefined
  readonly tokenId?: string | undefined
  readonly parameters?: readonly string[]
  /** Written to the audit log, never sent. */
  readonly cause?: string
  /** Sent to the caller in place of the contract's words for the reason. */
  readonly message?: string
  /** Says what was wrong in this request. Called in development only. */
  readonly explain?: Explain
  /** Until another attempt can succeed. */
  readonly retryAfterMs?: number
}

/** A refused request. The contract's table of refusals defines the reply. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: RefusalReason
  readonly details: RefusalDetails

  constructor(code: RefusalReason, details: RefusalDetails = {}) {
    super(details.message ?? code)
    this.code = code
    this.details = details
  }
}

const STORE_RETRY_AFTER_MS = 1_000
export const OVERLOAD_RETRY_AFTER_MS = 1_000

/** Returns the refusal of a request that cannot be decided without the store. */
export function storeUnavailableRefusal({ cause }: StoreUnavailableError): Refusal {
  return new Refusal('store_unavailable', {
    retryAfterMs: STORE_RETRY_AFTER_MS,
    cause: cause instanceof Error ? cause.message : String(cause),
  })
}
