import type { SessionOutcome, TokenRecord } from '../ports/token-store.ts'

/** The status of a session (N27, N29 to N33, U35, U36). */
export interface SessionStatus {
  readonly status: 'tokenCreated' | 'clientRegistering' | 'clientAuthenticating' | 'succeeded' | 'failed' | 'unknown'
  /** Milliseconds since the epoch: when the status last changed. */
  readonly changedAt: number
  readonly tokenResult?: 'tokenRedeemed' | 'tokenTimedOut'
  readonly uafStatusCode?: number
  readonly asmStatusCode?: number | undefined
  readonly authenticators?: SessionOutcome['authenticators']
}

/** The status code of a success (FIDO UAF 1.1 application API, section 3.3). */
export const SUCCESS = 1200
const TIMED_OUT = 1408

/**
 * Derives the status of a session at a time (milliseconds since the epoch). Nothing is stored, so a query changes
 * nothing (N28).
 */
export function statusOf(record: TokenRecord, now: number): SessionStatus {
  const { operation, createdAt, expiresAt, redeemedAt, revokedAt, responseLifetime, outcome } = record
  if (redeemedAt === undefined) {
    const endedAt = Math.min(expiresAt, revokedAt ?? expiresAt)
    if (now < endedAt) return { status: 'tokenCreated', changedAt: createdAt }
    if (endedAt < expiresAt) return { status: 'failed', changedAt: endedAt }
    return { status: 'failed', changedAt: expiresAt, tokenResult: 'tokenTimedOut', uafStatusCode: TIMED_OUT }
  }

  const tokenResult = 'tokenRedeemed'
  // No response follows a deregistration request, so redemption is its success (N31).
  if (operation === 'deregistration') {
    return { status: 'succeeded', changedAt: redeemedAt, tokenResult, uafStatusCode: SUCCESS }
  }
  if (outcome) return { ...describeOutcome(outcome), tokenResult }
  const respondBy = redeemedAt + responseLifetime
  const endedAt = Math.min(respondBy, revokedAt ?? respondBy)
  if (now < endedAt) {
    const status = operation === 'registration' ? 'clientRegistering' : 'clientAuthenticating'
    return { status, changedAt: redeemedAt, tokenResult }
  }
  if (endedAt < respondBy) return { status: 'failed', changedAt: endedAt, tokenResult }
  return { status: 'failed', changedAt: respondBy, tokenResult, uafStatusCode: TIMED_OUT }
}

function describeOutcome({ settledAt, statusCode, asmStatusCode, authenticators }: SessionOutcome): SessionStatus {
  const status = statusCode === SUCCESS ? 'succeeded' : 'failed'
  return { status, changedAt: settledAt, uafStatusCode: statusCode, asmStatusCode, authenticators }
}
