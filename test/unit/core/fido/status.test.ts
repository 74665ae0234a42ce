import { expect, test } from 'vitest'
import { type SessionStatus, statusOf } from '../../../../src/core/fido/status.ts'
import type { TokenRecord } from '../../../../src/core/ports/token-store.ts'
import { createRecord } from '../../../support/records.ts'

const RECORD = createRecord({ createdAt: 1_000, expiresAt: 5_000, responseLifetime: 2_000 })
const REDEEMED = { redeemedAt: 3_000 }
const WAITING: SessionStatus = { status: 'clientRegistering', changedAt: 3_000, tokenResult: 'tokenRedeemed' }
const TIMED_OUT = { status: 'failed', changedAt: 5_000, uafStatusCode: 1408 } as const

// Each time is the last millisecond before a change, or the first one after it.
test.each<[when: string, changed: Partial<TokenRecord>, now: number, status: SessionStatus]>([
  ['before its expiry', {}, 4_999, { status: 'tokenCreated', changedAt: 1_000 }],
  ['at its expiry', {}, 5_000, { ...TIMED_OUT, tokenResult: 'tokenTimedOut' }],
  ['before a revocation', { revokedAt: 2_000 }, 1_999, { status: 'tokenCreated', changedAt: 1_000 }],
  ['at a revocation', { revokedAt: 2_000 }, 2_000, { status: 'failed', changedAt: 2_000 }],
  ['before the response is due', REDEEMED, 4_999, WAITING],
  ['when the response is due', REDEEMED, 5_000, { ...TIMED_OUT, tokenResult: 'tokenRedeemed' }],
  ['before a revocation after redemption', { ...REDEEMED, revokedAt: 4_000 }, 3_999, WAITING],
  [
    'at a revocation after redemption',
    { ...REDEEMED, revokedAt: 4_000 },
    4_000,
    { status: 'failed', changedAt: 4_000, tokenResult: 'tokenRedeemed' },
  ],
])('N27: returns the status %s', (_when, changed, now, status) => {
  expect(statusOf({ ...RECORD, ...changed }, now)).toEqual(status)
})
