import type { z } from 'zod'
import type { RefusalTable } from '../../http/error-handler.ts'
import type { bwsError } from './schema.ts'

const UNAUTHORIZED = [401, 'Unauthorized'] as const
const UNAVAILABLE = [503, 'Temporarily unavailable. Try again later.'] as const

const refusals: RefusalTable<[message: string]> = {
  contract: 'bws',
  replies: {
    method_not_allowed: [405, 'The requested resource supports GET and HEAD only.'],
    missing_authorization: UNAUTHORIZED,
    malformed_authorization: UNAUTHORIZED,
    unknown_app: UNAUTHORIZED,
    bad_secret: UNAUTHORIZED,
    bad_parameter: [400, 'The request is invalid.'],
    foreign_id: [403, 'The id is not the App-ID of the caller.'],
    task_not_allowed: [403, 'The app may not use this task.'],
    bcid_not_allowed: [403, 'The app may not use this storage and partition.'],
    invalid_token: UNAUTHORIZED,
    token_expired: UNAUTHORIZED,
    token_not_yet_valid: UNAUTHORIZED,
    token_revoked: UNAUTHORIZED,
    wrong_task: [403, 'The token is for another task.'],
    tries_used_up: [403, 'The tries of the token are used up.'],
    overloaded: UNAVAILABLE,
    store_unavailable: UNAVAILABLE,
    no_signing_key: UNAVAILABLE,
    blocked: [429, 'Too many failed attempts. Try again later.'],
    internal_error: [500, 'An error has occurred.'],
  },
  body: ([words], message = words): z.output<typeof bwsError> => ({ Message: message }),
  contentType: 'application/json; charset=utf-8',
  allow: 'GET, HEAD',
  retryAfter: true,
}

/** Refusals of the token endpoint (B20 to B22). */
export const tokenRefusals = { ...refusals, challenge: 'Basic realm="BWS", charset="UTF-8"' }

/** Refusals of the check for gateways (B34). */
export const accessRefusals = { ...refusals, challenge: 'Bearer realm="BWS"' }
