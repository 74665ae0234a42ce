import type { TokenRecord } from '../ports/token-store.ts'

/** What a session has come to (N27, N29 to N33). */
export interface SessionStatus {
  readonly status: 'tokenCreated' | 'clientRegistering' | 'clientAuthenticating' | 'succeeded' | 'failed' | 'unknown'
  /** Milliseconds since the epoch: the last change. */
  readonly changedAt: number
  readonly tokenResult?: 'tokenRedeemed' | 'tokenTimedOut'
  readonly uafStatusCode?: 1200 | 1408
}

/**
 * The status of a session at a time (milliseconds since the epoch). Worked out anew each time, so that asking changes nothing
 * (N28).
 */
export function statusOf(record: TokenRecord, now: number): SessionStatus {
  const { operation, createdAt, expiresAt, redeemedAt, revokedAt, responseLifetime } = record
  if (redeemedAt === undefined) {
    const endedAt = Math.min(expiresAt, revokedAt ?? expiresAt)
    if (now < endedAt) return { status: 'tokenCreated', changedAt: createdAt }
    if (endedAt < expiresAt) return { status: 'failed', changedAt: endedAt }
    return { status: 'failed', changedAt: expiresAt, tokenResult: 'tokenTimedOut', uafStatusCode: 1408 }
  }

  const tokenResult = 'tokenRedeemed'
  // Nothing follows a deregistration request, so nothing that comes later can undo it (N31).
  if (operation === 'deregistration') {
    return { status: 'succeeded', changedAt: redeemedAt, tokenResult, uafStatusCode: 1200 }
  }
  const answerBy = redeemedAt + responseLifetime
  const endedAt = Math.min(answerBy, revokedAt ?? answerBy)
  if (now < endedAt) {
    const status = operation === 'registration' ? 'clientRegistering' : 'clientAuthenticating'
    return { status, changedAt: redeemedAt, tokenResult }
  }
  if (endedAt < answerBy) return { status: 'failed', changedAt: endedAt, tokenResult }
  return { status: 'failed', changedAt: answerBy, tokenResult, uafStatusCode: 1408 }
}
