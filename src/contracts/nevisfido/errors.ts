import type { z } from 'zod'
import type { RefusalTable } from '../../http/error-handler.ts'
import type { failureReply } from './schema.ts'

type Words = [statusCode?: number]

/** Refusals that are HTTP's own have no body. */
const HTTP_REFUSALS = { method_not_allowed: [405], not_acceptable: [406], unsupported_media_type: [415] } as const

const NO_CREDENTIALS = [200, 1401] as const
const NOT_FOR_USER = [200, 1403] as const
const BAD_CONTENTS = [200, 1498] as const

const common = {
  contract: 'nevisfido',
  body: ([statusCode]: Words): z.output<typeof failureReply> | undefined =>
    statusCode === undefined ? undefined : { statusCode },
  contentType: 'application/json',
  allow: 'POST',
  retryAfter: false,
  bodyReasons: { 413: 'bad_body', 415: 'unsupported_media_type' },
} as const

/** Create and redeem answer with HTTP 200 and a FIDO UAF status code (N13, N18 to N22). */
export const numericRefusals: RefusalTable<Words> = {
  ...common,
  replies: {
    ...HTTP_REFUSALS,
    bad_body: [200, 1400],
    missing_authorization: NO_CREDENTIALS,
    malformed_authorization: NO_CREDENTIALS,
    unknown_client: NO_CREDENTIALS,
    bad_secret: NO_CREDENTIALS,
    bad_bearer: NO_CREDENTIALS,
    blocked: NO_CREDENTIALS,
    user_not_allowed: NOT_FOR_USER,
    unknown_user: NOT_FOR_USER,
    unknown_token: [200, 1404],
    token_not_yet_valid: [200, 1404],
    token_expired: [200, 1408],
    token_spent: [200, 1491],
    bad_contents: BAD_CONTENTS,
    wrong_operation: BAD_CONTENTS,
    internal_error: [200, 1500],
  },
}

/** The status service has HTTP statuses for its failures (N26). */
export const statusRefusals: RefusalTable<Words> = {
  ...common,
  replies: { ...HTTP_REFUSALS, bad_body: [400, 1400], internal_error: [503, 1500] },
}
