import { UAF_FAILURES, type UafFailure } from '../../../core/uaf/failure.ts'
import type { RefusalTable } from '../../../http/error-handler.ts'
import { numericRefusals } from '../errors.ts'
import { UAF_UTF8 } from '../service.ts'

type Replies = (typeof numericRefusals)['replies']

/** Each failure of a response is a reason of the audit log, with its UAF status code. */
const failures = Object.fromEntries(
  Object.entries(UAF_FAILURES).map(([failure, statusCode]) => [failure, [200, statusCode] as const]),
) as Record<UafFailure, readonly [status: 200, statusCode: number]>

/** The request and response services answer with HTTP 200 and a UAF status code (U1, U7). */
export const uafRefusals = {
  ...numericRefusals,
  contentType: UAF_UTF8,
  replies: {
    ...numericRefusals.replies,
    ...failures,
    unknown_session: [200, 1491],
    session_ended: [200, 1491],
    response_late: [200, 1408],
  } satisfies Replies,
} satisfies RefusalTable<[statusCode?: number]>
