import { UAF_OPERATIONS } from '../../core/fido/operation.ts'
import type { RedeemedToken } from '../../core/fido/tokens.ts'
import type { RedeemTokenReply } from './schema.ts'

/** The refusal for each failed redemption. */
export const REDEMPTION_REFUSALS = {
  unknown: 'unknown_token',
  spent: 'token_spent',
  expired: 'token_expired',
  premature: 'token_not_yet_valid',
  misdirected: 'wrong_operation',
} as const

/** Returns the reply to a redemption (N17). */
export function toRedeemReply({ record, uafRequest }: RedeemedToken): RedeemTokenReply {
  const { operation, responseLifetime } = record
  return { statusCode: 1200, uafRequest, op: UAF_OPERATIONS[operation], lifetimeMillis: responseLifetime }
}
