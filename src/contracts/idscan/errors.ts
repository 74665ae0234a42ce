import type { z } from 'zod'
import type { RefusalTable } from '../../http/error-handler.ts'
import type { idscanAccessError, idscanError } from './schema.ts'

/** Spelled as the vendor's server does (I15). */
export const CONTENT_TYPE = 'application/json;charset=UTF-8'

/** The same bytes for everything that would tell accounts apart (I23). */
const INVALID_GRANT = [400, 'invalid_grant', 'The user name or password is incorrect.'] as const

/** Refusals of the token endpoint (I23 to I26). */
export const tokenRefusals: RefusalTable<[error: string, description: string]> = {
  contract: 'idscan',
  replies: {
    method_not_allowed: [405, 'invalid_request', 'Only POST is supported.'],
    unsupported_grant_type: [
      400,
      'unsupported_grant_type',
      'The body has to be a form with grant_type=password, once.',
    ],
    bad_parameter: [400, 'invalid_request', 'The request is invalid.'],
    body_too_large: [413, 'invalid_request', 'The body is too large.'],
    bad_body: [400, 'invalid_request', 'The body is broken.'],
    unknown_account: INVALID_GRANT,
    bad_password: INVALID_GRANT,
    account_disabled: INVALID_GRANT,
    area_not_allowed: [400, 'invalid_grant', 'The account may not use this area.'],
    blocked: [429, 'temporarily_unavailable', 'Too many failed attempts. Try again later.'],
    overloaded: [503, 'temporarily_unavailable', 'Too many requests at once. Try again later.'],
    no_signing_key: [503, 'temporarily_unavailable', 'Temporarily unavailable. Try again later.'],
    internal_error: [500, 'server_error', 'Something went wrong.'],
  },
  body: ([error, words], message = words): z.output<typeof idscanError> => ({ error, error_description: message }),
  contentType: CONTENT_TYPE,
  allow: 'POST, OPTIONS',
  retryAfter: true,
  // A body whose Content-Type is unreadable is not a form (I3).
  bodyReasons: { 415: 'unsupported_grant_type' },
}

const DENIED = [401, 'Authorization has been denied for this request.'] as const
const UNAVAILABLE = [503, 'Temporarily unavailable. Try again later.'] as const

/** Refusals of the check for gateways, in the words of the vendor's resources (I30, I31). */
export const accessRefusals: RefusalTable<[message: string]> = {
  contract: 'idscan',
  replies: {
    missing_authorization: DENIED,
    invalid_token: DENIED,
    token_expired: DENIED,
    token_not_yet_valid: DENIED,
    token_revoked: DENIED,
    token_idle: DENIED,
    unknown_account: DENIED,
    account_disabled: DENIED,
    wrong_area: [403, 'The token is for another area.'],
    overloaded: UNAVAILABLE,
    store_unavailable: UNAVAILABLE,
    internal_error: [500, 'An error has occurred.'],
  },
  body: ([message]): z.output<typeof idscanAccessError> => ({ Message: message }),
  contentType: CONTENT_TYPE,
  challenge: 'Bearer',
  retryAfter: true,
}
